import './least-role.test.ts'
