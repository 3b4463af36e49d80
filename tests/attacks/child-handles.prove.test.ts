import './child-handles.test.ts'
