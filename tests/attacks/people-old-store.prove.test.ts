import './people-old-store.test.ts'
