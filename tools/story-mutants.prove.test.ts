import './story-mutants.test.ts'
