import './row-cascade.test.ts'
