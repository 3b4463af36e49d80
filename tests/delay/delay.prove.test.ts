import './delay.test.ts'
