import './second-copy.test.ts'
