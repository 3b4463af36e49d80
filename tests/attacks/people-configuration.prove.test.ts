import './people-configuration.test.ts'
