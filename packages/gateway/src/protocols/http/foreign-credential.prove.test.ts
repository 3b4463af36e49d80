import './foreign-credential.test.ts'
