import './protection.test.ts'
