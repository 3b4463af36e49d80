import { describeFailure, toFailure } from '../../packages/cli/src/failure.ts'
import { runUp } from '../../packages/cli/src/up.ts'
import { findProgram } from './programs.ts'

/** `sallyport up` with a stand-in for the gateway and the real vault: `up-process.ts STATE [CONFIG]`. */
const [state = '', configuration = null] = process.argv.slice(2)
try {
  process.exitCode = await runUp({
    configuration,
    stateDirectory: state,
    json: false,
    agentUser: process.env['FAKE_AGENT_USER'] ?? null,
    programs: { gateway: findProgram('gateway-process'), vault: findProgram('vault') },
    nowMs: Date.now,
    write: (text) => process.stdout.write(text),
  })
} catch (error) {
  const failure = toFailure(error)
  process.stderr.write(describeFailure(failure, false))
  process.exitCode = failure.exitCode
}
