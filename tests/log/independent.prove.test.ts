import './independent.test.ts'
