import './continuous.test.ts'
