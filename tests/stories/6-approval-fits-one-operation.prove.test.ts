import './6-approval-fits-one-operation.test.ts'
