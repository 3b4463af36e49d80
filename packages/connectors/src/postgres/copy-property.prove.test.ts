import './copy-property.test.ts'
