import './console.test.ts'
