import './postgres-names.test.ts'
