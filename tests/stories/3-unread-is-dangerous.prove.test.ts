import './3-unread-is-dangerous.test.ts'
