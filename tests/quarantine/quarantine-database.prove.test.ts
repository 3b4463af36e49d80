import './quarantine-database.test.ts'
