import './postgres-remembered.test.ts'
