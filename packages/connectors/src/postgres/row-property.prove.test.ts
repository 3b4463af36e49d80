import './row-property.test.ts'
