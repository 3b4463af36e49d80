import './5-agent-approves-nothing.test.ts'
