import './postgres-fired.test.ts'
