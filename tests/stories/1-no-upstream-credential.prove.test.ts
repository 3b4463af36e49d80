import './1-no-upstream-credential.test.ts'
