import './up.test.ts'
