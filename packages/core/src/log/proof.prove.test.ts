import './proof.test.ts'
