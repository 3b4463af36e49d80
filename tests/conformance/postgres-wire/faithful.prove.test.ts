import './faithful.test.ts'
