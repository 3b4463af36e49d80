import './postgres-disguise.test.ts'
