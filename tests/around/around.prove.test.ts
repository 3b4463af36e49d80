import './around.test.ts'
