import './init.test.ts'
