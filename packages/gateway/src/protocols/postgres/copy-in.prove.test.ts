import './copy-in.test.ts'
