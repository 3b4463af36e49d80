import './describe.test.ts'
