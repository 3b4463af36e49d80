import './schema.test.ts'
