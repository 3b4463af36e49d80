import './quarantine.test.ts'
