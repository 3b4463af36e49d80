import './base-backup.test.ts'
