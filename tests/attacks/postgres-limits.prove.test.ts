import './postgres-limits.test.ts'
