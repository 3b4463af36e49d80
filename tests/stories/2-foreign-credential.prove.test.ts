import './2-foreign-credential.test.ts'
