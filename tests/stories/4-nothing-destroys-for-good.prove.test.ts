import './4-nothing-destroys-for-good.test.ts'
