import './switch-line.test.ts'
