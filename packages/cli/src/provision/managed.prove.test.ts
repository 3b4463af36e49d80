import './managed.test.ts'
