import './copy-hostile.test.ts'
