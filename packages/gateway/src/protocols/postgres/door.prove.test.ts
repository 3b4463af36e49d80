import './door.test.ts'
