/** What a stray credential looks like, and where it would open something. */
export interface TokenShape {
  readonly kind: string
  /** Hosts that would take it; empty when the text itself says which (a URL), or when nothing does. */
  readonly hosts: readonly string[]
  /** With the credential in the group `secret`. Runs in time that grows with the text, not faster: no repetition within a repetition. */
  readonly pattern: RegExp
}

const uuid = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'
/** Between a name and its value: `=`, `:`, `=>`, with or without quotes around either. */
const assigned = `["'\\]]{0,2}[ \\t]{0,8}(?::=|=>|=|:)[ \\t]{0,8}["'\`]?`

/** A value that has no shape of its own is told by the name it is given to. */
function named(names: string, value: string): RegExp {
  return new RegExp(
    `(?<![A-Za-z0-9])(?:[A-Za-z0-9]{1,32}[_-]){0,4}(?:${names})${assigned}(?<secret>${value})(?![A-Za-z0-9_-])`,
    'gi',
  )
}

function prefixed(value: string): RegExp {
  return new RegExp(`(?<![A-Za-z0-9_-])(?<secret>${value})(?![A-Za-z0-9_-])`, 'g')
}

const railway = ['backboard.railway.com', 'backboard.railway.app']

/** First come, first served: of two shapes that fit the same text the earlier one names it. */
export const tokenShapes: readonly TokenShape[] = [
  {
    kind: 'railway token',
    hosts: railway,
    pattern: named('railway[_-]?(?:[a-z]{1,12}[_-]?){0,3}(?:token|key)|project-access-token', uuid),
  },
  { kind: 'heroku token', hosts: ['api.heroku.com'], pattern: named('heroku[_-]?(?:api[_-]?)?(?:key|token)', uuid) },
  { kind: 'heroku token', hosts: ['api.heroku.com'], pattern: prefixed('HRKU-[A-Za-z0-9_-]{30,80}') },
  {
    kind: 'uuid token',
    hosts: [...railway, 'api.heroku.com'],
    pattern: named(
      '(?:api|access|auth|bearer|domain|domains|deploy|account|team|project)?[_-]?(?:token|apikey|api[_-]key)',
      uuid,
    ),
  },
  {
    kind: 'uuid token',
    hosts: [...railway, 'api.heroku.com'],
    pattern: new RegExp(`\\bBearer[ \\t]{1,4}(?<secret>${uuid})(?![A-Za-z0-9_-])`, 'gi'),
  },
  { kind: 'aws access key', hosts: ['amazonaws.com'], pattern: prefixed('(?:AKIA|ASIA)[A-Z2-7]{16}') },
  {
    kind: 'aws secret key',
    hosts: ['amazonaws.com'],
    pattern: named('aws[_-]?secret[_-]?(?:access[_-]?)?key|secretaccesskey', '[A-Za-z0-9/+]{40}'),
  },
  { kind: 'gcp api key', hosts: ['googleapis.com'], pattern: prefixed('AIza[A-Za-z0-9_-]{35}') },
  { kind: 'gcp client secret', hosts: ['googleapis.com'], pattern: prefixed('GOCSPX-[A-Za-z0-9_-]{20,40}') },
  {
    kind: 'github token',
    hosts: ['api.github.com', 'github.com'],
    pattern: prefixed('gh[opusr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{60,255}'),
  },
  {
    kind: 'gitlab token',
    hosts: ['gitlab.com'],
    pattern: prefixed('gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent)-[A-Za-z0-9_.-]{20,300}'),
  },
  { kind: 'stripe key', hosts: ['api.stripe.com'], pattern: prefixed('[rs]k_(?:live|test)_[A-Za-z0-9]{16,247}') },
  { kind: 'slack token', hosts: ['slack.com'], pattern: prefixed('xox[abeoprs]-[A-Za-z0-9-]{10,250}|xapp-[A-Za-z0-9-]{20,250}') },
  {
    kind: 'slack webhook',
    hosts: ['hooks.slack.com'],
    pattern: /hooks\.slack\.com\/(?:services|workflows)\/(?<secret>[A-Za-z0-9/_-]{20,200})/g,
  },
  { kind: 'npm token', hosts: [], pattern: prefixed('npm_[A-Za-z0-9]{36}') },
  { kind: 'npm token', hosts: [], pattern: /:_authToken[ \t]{0,8}=[ \t]{0,8}["']?(?<secret>[A-Za-z0-9+/=_-]{16,400})/g },
  { kind: 'supabase token', hosts: ['api.supabase.com'], pattern: prefixed('sbp_[A-Za-z0-9_]{40,80}') },
  { kind: 'supabase secret key', hosts: ['supabase.co'], pattern: prefixed('sb_secret_[A-Za-z0-9_-]{20,100}') },
  { kind: 'neon api key', hosts: ['console.neon.tech'], pattern: prefixed('napi_[a-z0-9]{40,100}') },
  { kind: 'fly token', hosts: ['api.fly.io', 'api.machines.dev'], pattern: prefixed('fo1_[A-Za-z0-9_-]{43}') },
  {
    kind: 'fly token',
    hosts: ['api.fly.io', 'api.machines.dev'],
    pattern: /(?<secret>\bfm[12][ar]?_[A-Za-z0-9+/=_-]{60,2000})/g,
  },
  {
    kind: 'vercel token',
    hosts: ['api.vercel.com'],
    pattern: named('vercel[_-]?(?:[a-z]{1,12}[_-]?){0,2}token', '[A-Za-z0-9]{24}'),
  },
  { kind: 'vercel token', hosts: ['api.vercel.com'], pattern: prefixed('vc[pikar]_[A-Za-z0-9]{24,80}') },
  {
    kind: 'cloudflare token',
    hosts: ['api.cloudflare.com'],
    pattern: named('(?:cloudflare|cf)[_-]?(?:[a-z]{1,12}[_-]?){0,2}(?:token|key)', '[A-Za-z0-9_-]{37,64}'),
  },
  { kind: 'digitalocean token', hosts: ['api.digitalocean.com'], pattern: prefixed('do[opr]_v1_[a-f0-9]{64}') },
  {
    kind: 'connection string',
    hosts: [],
    // The user may be empty (Redis); a password that is a placeholder is sorted out afterwards.
    pattern:
      /(?<secret>\b(?:postgres(?:ql)?|mysql|mariadb|mongodb(?:\+srv)?|rediss?|amqps?|clickhouse|mssql|sqlserver|cockroachdb):\/\/[^\s:/?#"'`<>@]{0,128}:[^\s"'`<>@]{1,512}@[^\s"'`<>@]{1,512})/gi,
  },
  {
    kind: 'credential in a URL',
    hosts: [],
    pattern: /(?<secret>\bhttps?:\/\/[^\s:/?#"'`<>@]{0,128}:[^\s/?#"'`<>@]{6,512}@[^\s"'`<>@]{3,512})/gi,
  },
  {
    kind: 'private key',
    hosts: [],
    pattern:
      /(?<secret>-----BEGIN (?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----[\sA-Za-z0-9+/=\\:,.]{40,16384}(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?)/g,
  },
  { kind: 'jwt', hosts: [], pattern: prefixed('eyJ[A-Za-z0-9_-]{10,4096}\\.eyJ[A-Za-z0-9_-]{10,8192}\\.[A-Za-z0-9_-]{20,2048}') },
]
