import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parse, parseAllDocuments } from 'yaml'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { parseConfig } from '../packages/gateway/src/config.ts'
import { commandTable } from '../packages/cli/src/cli.ts'
import { runCommandLine } from './fakes/command-line.ts'
import { childEnvironment } from './fakes/child-environment.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('..', import.meta.url))
const deploy = (path: string): string => join(root, 'deploy', path)
const read = (path: string): string => readFileSync(deploy(path), 'utf8')
const units = ['vault', 'gate'] as const
const lines = (unit: string, key: string): readonly string[] =>
  [...read(`systemd/sallyport-${unit}.service`).matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value = '']) => value)
const commandOf = (unit: string): readonly string[] => (lines(unit, 'ExecStart')[0] ?? '').split(' ')
const isRoot = process.getuid?.() === 0

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sp-deploy-'))
  chmodSync(folder, 0o711)
})
afterAll(async () => {
  await run('chattr', ['-R', '-i', '-a', folder]).catch(() => undefined)
  rmSync(folder, { recursive: true, force: true })
})

/** Flags that a program's own usage knows. */
const usages = new Map<string, Promise<ReadonlySet<string>>>()
function knownFlags(program: string): Promise<ReadonlySet<string>> {
  const known = usages.get(program) ?? askFlags(program)
  usages.set(program, known)
  return known
}

async function askFlags(program: string): Promise<ReadonlySet<string>> {
  const { stdout, stderr } = await run(process.execPath, [program, ...(program.includes('vault') ? ['--help'] : [])]).catch(
    (error: unknown) => z.object({ stdout: z.string(), stderr: z.string() }).parse(error),
  )
  return new Set(`${stdout}${stderr}`.match(/--[a-z-]+/g) ?? [])
}

async function checkWords(words: readonly string[]): Promise<void> {
  const program = words.find((word) => /main\.ts$|gateway\.js$/.test(word)) ?? ''
  const path = join(root, program.replace('/opt/sallyport/', ''))
  expect(existsSync(path), program).toBe(true)
  const known = await knownFlags(path)
  const flags = words.filter((word) => word.startsWith('--')).map((word) => word.split('=')[0] ?? '')
  expect(flags.length).toBeGreaterThan(3)
  expect(flags.filter((flag) => !known.has(flag))).toEqual([])
}

async function checkProbe(words: readonly string[]): Promise<void> {
  const [program = '', command = '', ...flags] = words.slice(words[0] === 'node' ? 1 : 0)
  expect(existsSync(join(root, program)), program).toBe(true)
  const entry = commandTable.find(({ name }) => name === command)
  const known = (await entry?.load())?.makeCommand().options.map(({ long }) => long) ?? []
  expect(flags.filter((flag) => flag.startsWith('--') && !known.includes(flag))).toEqual([])
}

describe('the units for systemd', () => {
  it('are understood by systemd itself, with the programs where they are here', async () => {
    const bin = join(folder, 'units')
    mkdirSync(bin)
    for (const unit of units) {
      const text = read(`systemd/sallyport-${unit}.service`).replaceAll('/opt/sallyport/', root)
      writeFileSync(join(bin, `sallyport-${unit}.service`), text)
    }
    const paths = units.map((unit) => join(bin, `sallyport-${unit}.service`))
    const { stdout, stderr } = await run('systemd-analyze', ['verify', '--man=no', '--recursive-errors=no', ...paths])
    expect(`${stdout}${stderr}`).toBe('')
  })

  it.each(units)('leave the %s little to do harm with', async (unit) => {
    const { stdout } = await run('systemd-analyze', [
      'security',
      '--no-pager',
      '--offline=true',
      '--threshold=25',
      deploy(`systemd/sallyport-${unit}.service`),
    ])
    expect(stdout).toContain('Overall exposure level')
    for (const [key, value] of [
      ['NoNewPrivileges', 'yes'],
      ['ProtectSystem', 'strict'],
      ['ProtectHome', 'yes'],
      ['LimitCORE', '0'],
      ['StandardOutput', 'null'],
    ] as const)
      expect(lines(unit, key), key).toEqual([value])
  })

  it('start programs that there are, with flags that they know, where the other one looks, as the users that are made', async () => {
    for (const unit of units) await checkWords(commandOf(unit))
    const valueOf = (unit: string, flag: string): string => commandOf(unit)[commandOf(unit).indexOf(flag) + 1] ?? unit
    expect(valueOf('gate', '--vault-socket')).toBe(valueOf('vault', '--socket'))
    expect(valueOf('gate', '--vault-token-file')).toBe(valueOf('vault', '--token-file'))
    const made = [...read('systemd/sallyport.sysusers').matchAll(/^u (\S+) /gm)].map(([, name]) => name)
    expect(made).toEqual([valueOf('vault', '--gate-user'), valueOf('vault', '--user')])
    expect(lines('gate', 'User')).toEqual([valueOf('vault', '--gate-user')])
    expect(lines('gate', 'CapabilityBoundingSet')).toEqual([''])
    expect(valueOf('gate', '--state')).toBe(`/var/lib/${lines('gate', 'StateDirectory')[0]}`)
    expect(valueOf('gate', '--config')).toBe(`/etc/${lines('gate', 'ConfigurationDirectory')[0]}/sallyport.yaml`)
    expect(valueOf('vault', '--socket')).toContain(`/run/${lines('vault', 'RuntimeDirectory')[0]}/`)
    for (const flag of ['--dir', '--token-file'])
      expect(valueOf('vault', flag)).toContain(`/var/lib/${lines('vault', 'StateDirectory')[0]}/`)
  })

  it('work with the rights that they leave: two users, and no more capabilities than they name', async () => {
    // What needs two users needs root. Elsewhere the command lines are checked, and not run.
    if (!isRoot) return expect(process.getuid?.()).not.toBe(0)
    const place = (word: string): string =>
      word
        .replace('/opt/sallyport/node_modules/.bin/node', process.execPath)
        .replace('/opt/sallyport/', root)
        .replace(/^\/(var\/lib|run|etc)\//, `${folder}/$1/`)
        .replace(/^sallyport$/, 'nobody')
        .replace(/^sallyport-vault$/, 'daemon')
    for (const [path, mode] of [
      ['var/lib/sallyport-vault', 0o711],
      ['run/sallyport-vault', 0o711],
      ['var/lib/sallyport', 0o700],
      ['etc/sallyport', 0o711],
    ] as const)
      mkdirSync(join(folder, path), { recursive: true, mode })
    for (const path of ['var', 'var/lib', 'run', 'etc']) chmodSync(join(folder, path), 0o711)
    const nobody = Number((await run('id', ['-u', 'nobody'])).stdout)
    chownSync(join(folder, 'var/lib/sallyport'), nobody, nobody)
    const listen = { postgres: '127.0.0.1:0', control: 'localhost:0' }
    writeFileSync(
      join(folder, 'etc/sallyport/sallyport.yaml'),
      JSON.stringify({ version: 1, listen, upstreams: {}, agents: {} }),
      { mode: 0o644 },
    )
    const capabilities = (lines('vault', 'CapabilityBoundingSet')[0] ?? '')
      .split(' ')
      .map((name) => `+${name.replace('CAP_', '').toLowerCase()}`)
    const vault = await begin([`--bounding-set=-all,${capabilities.join(',')}`, '--', ...commandOf('vault').map(place)])
    const gate = await begin([
      '--reuid=nobody',
      '--regid=nogroup',
      '--clear-groups',
      '--bounding-set=-all',
      '--',
      ...commandOf('gate').map(place),
    ])
    expect(gate.ready).toMatchObject({ ready: true, enrolmentUrl: null })
    expect(statSync(join(folder, 'var/lib/sallyport-vault/copies')).uid).not.toBe(nobody)
    expect(readFileSync(`/proc/${gate.child.pid}/status`, 'utf8')).toMatch(/^CapEff:\s+0+$/m)
    const link = await runCommandLine(['enrol', '--state', join(folder, 'var/lib/sallyport'), '--json'], { folder })
    expect(link.output, link.errors).toContain('/enrol#')
    expect(await end(gate.child)).toBe(0)
    expect(existsSync(join(folder, 'var/lib/sallyport/run.json'))).toBe(false)
    expect(await end(vault.child)).toBe(0)
  })
})

async function begin(words: readonly string[]): Promise<{ readonly child: ChildProcess; readonly ready: unknown }> {
  const child = spawn('setpriv', ['--no-new-privs', '--inh-caps=-all', ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: childEnvironment(),
  })
  let said = ''
  child.stderr.on('data', (piece: Buffer) => (said += piece.toString()))
  const ended = once(child, 'exit').then(() => {
    throw new Error(`it ended at its start: ${said}`)
  })
  const [line] = await Promise.race([once(createInterface(child.stdout), 'line'), ended])
  ended.catch(() => undefined)
  return { child, ready: JSON.parse(String(line)) }
}

async function end(child: ChildProcess): Promise<number | null> {
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  await ended
  return child.exitCode
}

describe('the image', () => {
  const steps = [
    ...read('container/Dockerfile')
      .replaceAll(/\\\n\s*/g, ' ')
      .matchAll(/^([A-Z]+) (.*)$/gm),
  ].map(([, word = '', rest = '']) => ({ word, rest }))
  const of = (word: string): readonly string[] => steps.filter((step) => step.word === word).map(({ rest }) => rest)
  const list = (text: string | undefined): readonly string[] => z.array(z.string()).parse(JSON.parse(text ?? ''))

  it('is built of instructions that there are, from files that there are, and ends as nobody special', () => {
    const known = ['FROM', 'WORKDIR', 'COPY', 'RUN', 'ENV', 'USER', 'ENTRYPOINT', 'CMD', 'HEALTHCHECK']
    expect(steps.filter(({ word }) => !known.includes(word))).toEqual([])
    for (const from of of('FROM')) expect(from).toMatch(/^node:24-[a-z-]+( AS \w+)?$/)
    const copied = of('COPY').flatMap((rest) => (rest.startsWith('--from=') ? [] : rest.split(' ').slice(0, -1)))
    expect(copied.filter((path) => !existsSync(join(root, path)))).toEqual([])
    const sent = read('container/Dockerfile.dockerignore')
      .split('\n')
      .flatMap((line) => (line.startsWith('!') ? [line.slice(1)] : []))
    expect(new Set(copied.map((path) => path.replace('./', '')))).toEqual(new Set(sent))
    expect(of('USER')).toEqual(['10001:10001'])
    expect(of('RUN').join(' ')).toMatch(/useradd --uid 10001 .*sallyport .*useradd --uid 10002 .*sallyport-vault/)
  })

  it('runs the gate, and asks it how it is, in words that they know', async () => {
    await checkWords(list(of('CMD')[0]))
    await checkProbe(list(/CMD (\[.*\])$/.exec(of('HEALTHCHECK')[0] ?? '')?.[1]))
  })
})

const container = z.looseObject({
  name: z.string(),
  args: z.array(z.string()).optional(),
  command: z.array(z.string()).optional(),
  volumeMounts: z.array(z.object({ name: z.string(), mountPath: z.string() })).default([]),
})
const probe = z.object({ exec: z.object({ command: z.array(z.string()) }) })

describe('what starts it elsewhere', () => {
  it('compose: every volume is there, every word is known, and the two meet', async () => {
    const service = z.looseObject({
      command: z.array(z.string()).optional(),
      volumes: z.array(z.string()),
      read_only: z.literal(true),
      cap_drop: z.tuple([z.literal('ALL')]),
      user: z.string(),
    })
    const { services, volumes } = z
      .object({ services: z.record(z.string(), service), volumes: z.record(z.string(), z.unknown()) })
      .loose()
      .parse(parse(read('container/compose.yaml')))
    expect(Object.keys(services)).toEqual(['vault', 'gate'])
    const named = Object.values(services).flatMap((one) =>
      one.volumes.map((text) => text.split(':')[0] ?? '').filter((name) => !name.startsWith('.')),
    )
    expect(new Set(named)).toEqual(new Set(Object.keys(volumes)))
    await checkWords(services['vault']?.command ?? [])
    expect(services['gate']?.user).toBe('10001:10001')
  })

  const manifests = readdirSync(deploy('kubernetes')).filter((name) => name.endsWith('.yaml') && name !== 'sallyport.yaml')
  const documents = manifests.flatMap((name) =>
    parseAllDocuments(read(`kubernetes/${name}`)).map((one) => ({
      name,
      errors: one.errors,
      value: z.unknown().parse(one.toJS()),
    })),
  )

  it('kubernetes: every file is YAML, is named in the kustomization, and says what it is', () => {
    for (const { name, errors, value } of documents) {
      expect(errors, name).toEqual([])
      expect(value, name).toMatchObject({ apiVersion: expect.any(String), kind: expect.any(String) })
    }
    const { resources } = z.object({ resources: z.array(z.string()) }).parse(parse(read('kubernetes/kustomization.yaml')))
    expect(resources.toSorted()).toEqual(manifests.filter((name) => name !== 'kustomization.yaml').toSorted())
  })

  it('kubernetes: volumes, ports, labels, flags and probes fit one another, and nothing runs with more than it needs', async () => {
    const template = z.object({
      spec: z.object({
        replicas: z.literal(1),
        selector: z.object({ matchLabels: z.object({ app: z.string() }) }),
        template: z.object({
          metadata: z.object({ labels: z.object({ app: z.string() }) }),
          spec: z.object({
            automountServiceAccountToken: z.literal(false),
            containers: z.array(container),
            initContainers: z.array(container),
            volumes: z.array(z.looseObject({ name: z.string() })),
          }),
        }),
        volumeClaimTemplates: z.array(z.object({ metadata: z.object({ name: z.string() }) })),
      }),
    })
    const { spec } = template.parse(documents.find(({ name }) => name === 'gate.yaml')?.value)
    const pod = spec.template.spec
    expect(spec.template.metadata.labels).toEqual(spec.selector.matchLabels)
    const volumes = [...pod.volumes.map(({ name }) => name), ...spec.volumeClaimTemplates.map(({ metadata }) => metadata.name)]
    const mounted = [...pod.containers, ...pod.initContainers].flatMap(({ volumeMounts }) => volumeMounts.map(({ name }) => name))
    expect(new Set(mounted)).toEqual(new Set(volumes))
    for (const { name, args, securityContext } of pod.containers.map((one) => ({
      ...one,
      securityContext: one['securityContext'],
    }))) {
      await checkWords(args ?? [])
      expect(securityContext, name).toMatchObject({
        readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
      })
    }
    const gate = pod.containers.find(({ name }) => name === 'gate')
    for (const kind of ['startupProbe', 'livenessProbe', 'readinessProbe'])
      await checkProbe(probe.parse(gate?.[kind]).exec.command)
    const service = parse(read('kubernetes/agents-port.yaml'))
    expect(service).toMatchObject({ spec: { selector: spec.selector.matchLabels, ports: [{ targetPort: 'postgres' }] } })
    expect(gate?.['ports']).toEqual([{ name: 'postgres', containerPort: 6432 }])
  })

  it('kubernetes: the configuration that comes with it is one, and probes ask where it listens', () => {
    const readConfiguration = parseConfig(read('kubernetes/sallyport.yaml'), deploy('kubernetes/sallyport.yaml'))
    expect(readConfiguration).toMatchObject({
      ok: true,
      config: { drainMs: 30_000, listen: { postgres: { port: 6432 }, metrics: { host: '127.0.0.1', port: 6490 } } },
    })
    for (const name of ['container/Dockerfile', 'kubernetes/gate.yaml']) expect(read(name)).toContain('http://127.0.0.1:6490')
    expect(basename(deploy('kubernetes/sallyport.yaml'))).toBe('sallyport.yaml')
  })

  it('helm: with its own values the chart is what lies in kubernetes/, and says nothing but values, quoted', () => {
    const names = manifests.filter((name) => name !== 'kustomization.yaml' && name !== 'namespace.yaml')
    expect(readdirSync(deploy('helm/templates')).toSorted()).toEqual([...names, 'configuration.yaml'].toSorted())
    const values: unknown = parse(read('helm/values.yaml'))
    for (const name of names)
      expect(parse(renderChart(read(`helm/templates/${name}`), values)), name).toEqual(parse(read(`kubernetes/${name}`)))
    expect(parse(renderChart(read('helm/templates/configuration.yaml'), values))).toMatchObject({
      kind: 'ConfigMap',
      metadata: { name: 'sallyport-configuration' },
      data: { 'sallyport.yaml': read('kubernetes/sallyport.yaml') },
    })
    expect(parse(read('helm/Chart.yaml'))).toMatchObject({ apiVersion: 'v2', name: 'sallyport', version: expect.any(String) })
    expect(() => renderChart('{{ include "x" . }}', values)).toThrow('no value')
    expect(() => renderChart('{{ .Values.imago | quote }}', values)).toThrow('imago')
  })
})

/** No helm is at hand, so the chart keeps to what needs none to be understood: a value in its place, quoted as Go and JSON both quote it. */
function renderChart(template: string, values: unknown): string {
  const rendered = template.replaceAll(/\{\{ \.Values\.([a-z.]+) \| quote \}\}/gi, (_action, path: string) => {
    const value = path.split('.').reduce<unknown>((inside, key) => z.record(z.string(), z.unknown()).parse(inside)[key], values)
    if (typeof value !== 'string' || /[^\n -~]/.test(value)) throw new Error(`${path} is no plain text`)
    return JSON.stringify(value)
  })
  if (rendered.includes('{{')) throw new Error('an action that is no value')
  return rendered
}
