import './10-offline.test.ts'
