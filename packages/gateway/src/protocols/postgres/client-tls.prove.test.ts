import './client-tls.test.ts'
