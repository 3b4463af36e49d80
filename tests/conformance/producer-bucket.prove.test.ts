import './producer-bucket.test.ts'
