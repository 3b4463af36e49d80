import './switch.test.ts'
