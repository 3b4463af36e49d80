import './recovery.test.ts'
