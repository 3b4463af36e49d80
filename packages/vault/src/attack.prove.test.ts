import './attack.test.ts'
