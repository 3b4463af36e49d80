import './script.test.ts'
