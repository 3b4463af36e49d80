import './http-disguise.test.ts'
