import './workload-identity.test.ts'
