/**
 * Shapes by which providers mark their secrets, so that they can be found where they don't belong. Counts are least lengths and exact, so that no
 * text makes matching slow: what follows the least length is taken as part of the token afterwards.
 */
const shapes: readonly (readonly [name: string, pattern: string])[] = [
  ['sallyport handle', 'sp_[A-Za-z0-9_-]{43}'],
  ['AWS access key', '(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}'],
  ['GitHub token', 'gh[oprsu]_[A-Za-z0-9]{36}'],
  ['GitHub token', 'github_pat_[A-Za-z0-9_]{22}'],
  ['GitLab token', 'gl(?:pat|dt|rt|soat|ptt|ft|cbt|imt|agent|oas)-[A-Za-z0-9_.-]{20}'],
  ['Slack token', 'xox[abdeoprs]-[A-Za-z0-9-]{10}'],
  ['Slack token', 'xapp-[0-9]-[A-Za-z0-9-]{10}'],
  ['Slack webhook', 'hooks\\.slack\\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_-]{20}'],
  ['Stripe key', '(?:sk|rk|whsec)_(?:live_|test_)?[A-Za-z0-9]{16}'],
  ['Anthropic key', 'sk-ant-[A-Za-z0-9_-]{16}'],
  ['OpenAI key', 'sk-(?:proj-|svcacct-|admin-|or-v1-)[A-Za-z0-9_-]{20}'],
  ['OpenAI key', 'sk-[A-Za-z0-9]{20}'],
  ['Google key', 'AIza[A-Za-z0-9_-]{35}'],
  ['Google token', 'ya29\\.[A-Za-z0-9_-]{20}'],
  ['Google secret', 'GOCSPX-[A-Za-z0-9_-]{20}'],
  ['npm token', 'npm_[A-Za-z0-9]{36}'],
  ['PyPI token', 'pypi-[A-Za-z0-9_-]{40}'],
  ['crates token', 'cio[A-Za-z0-9]{32}'],
  ['DigitalOcean token', 'do[opr]_v1_[a-f0-9]{64}'],
  ['Hugging Face token', 'hf_[A-Za-z0-9]{30}'],
  ['SendGrid key', 'SG\\.[A-Za-z0-9_-]{16}\\.[A-Za-z0-9_-]{16}'],
  ['Mailgun key', 'key-[a-f0-9]{32}'],
  ['Twilio key', 'SK[a-f0-9]{32}'],
  ['Shopify token', 'shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}'],
  ['Square token', 'sq0(?:atp|csp|idp)-[A-Za-z0-9_-]{22}'],
  ['Docker token', 'dckr_(?:pat|oat)_[A-Za-z0-9_-]{20}'],
  ['Heroku key', 'HRKU-[A-Za-z0-9_-]{30}'],
  ['Atlassian token', 'ATATT3[A-Za-z0-9_=-]{20}'],
  ['Linear key', 'lin_(?:api|oauth)_[A-Za-z0-9]{20}'],
  ['Notion token', '(?:ntn|secret)_[A-Za-z0-9]{40}'],
  ['PlanetScale token', 'pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.=-]{20}'],
  ['Supabase token', 'sb(?:p|_secret)_[A-Za-z0-9_-]{20}'],
  ['Neon key', 'napi_[A-Za-z0-9]{30}'],
  ['Render key', 'rnd_[A-Za-z0-9]{20}'],
  ['Railway token', 'rw_[A-Za-z0-9_.*-]{20}'],
  ['Vercel token', 'vc[aikpr]_[A-Za-z0-9]{20}'],
  ['Fly token', 'fm[12][ar]?_[A-Za-z0-9+/=_-]{20}'],
  ['Doppler token', 'dp\\.(?:pt|st|ct|scim|audit)\\.[A-Za-z0-9_.-]{20}'],
  ['Databricks token', 'dapi[a-f0-9]{32}'],
  ['Vault token', 'hv[brs]\\.[A-Za-z0-9_-]{20}'],
  ['Terraform token', '[A-Za-z0-9]{14}\\.atlasv1\\.[A-Za-z0-9_-]{40}'],
  ['Grafana token', 'gl(?:sa|c)_[A-Za-z0-9_+/=]{30}'],
  ['Sentry token', 'sntry[su]_[A-Za-z0-9_+/=-]{20}'],
  ['New Relic key', 'NRAK-[A-Z0-9]{20}'],
  ['Pulumi token', 'pul-[a-f0-9]{40}'],
  ['Cloudflare token', 'v1\\.0-[a-f0-9]{24}-[a-f0-9]{100}'],
  ['Azure key', '(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{40}={0,2}'],
  ['Azure signature', '[?&]sig=[A-Za-z0-9%+/=]{30}'],
  ['JSON web token', '(?<!-)eyJ[A-Za-z0-9_-]{8,512}\\.eyJ[A-Za-z0-9_-]{8}'],
  ['private key', '-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY'],
  ['age key', 'AGE-SECRET-KEY-1[A-Z0-9]{20}'],
  ['connection string', '[a-zA-Z][a-zA-Z0-9+.-]{1,30}://[^\\s/?#@"\'<>{}$:]{0,256}:[^\\s/?#@"\'<>]{1,512}@[^\\s/?#@"\'<>]'],
]

/** One alternative group for each shape. A token may not be the tail of a longer word, or every hash would hold one. */
const anyShape = new RegExp(shapes.map(([, pattern]) => `(?<![A-Za-z0-9_])(${pattern})`).join('|'))
const tokenRest = /[A-Za-z0-9_~+/=*-]*(?:\.[A-Za-z0-9_~+/=*-]+)*/y
const anyPlaceholder = /^\$\{|^<[^<>]*>$|^\{\{|^%[A-Z_]+%$/

export interface FoundShape {
  readonly shape: string
  readonly token: string
}

/** The first secret of a known shape anywhere in this text; null when there is none. */
export function findKnownShape(text: string): FoundShape | null {
  const found = anyShape.exec(text)
  if (found === null) return null
  const index = found.findIndex((group, at) => at > 0 && group !== undefined)
  const shape = shapes[index - 1]?.[0] ?? 'token'
  const end = found.index + found[0].length
  if (shape === 'connection string' && isPlaceholderPassword(found[0])) return findKnownShape(text.slice(end))
  tokenRest.lastIndex = end
  return { shape, token: found[0] + (tokenRest.exec(text)?.[0] ?? '') }
}

/** `postgres://user:${PASSWORD}@host` names a secret and holds none. */
function isPlaceholderPassword(connection: string): boolean {
  const password = connection.slice(connection.indexOf(':', connection.indexOf('://') + 3) + 1, connection.lastIndexOf('@'))
  return /^(\$\{[^{}]*\}|\$\{\{[^{}]*\}\}|<[^<>]*>|\*+)$/.test(password)
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const tokenCharacters = /^[A-Za-z0-9+/_.~=:-]{16,4096}$/

const scheme = /(?<![A-Za-z0-9_])(?:bearer|basic)[ \t]{1,4}([A-Za-z0-9+/_.~=-]{16,4096})/gi

/** `Bearer …` or `Basic …` where it is no header of ours: in another header, in a body. */
export function findScheme(text: string): FoundShape | null {
  for (const [, token = ''] of text.matchAll(scheme)) if (looksRandom(token)) return { shape: 'credentials', token }
  return null
}

const anyUuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi
const longRun = /[A-Za-z0-9+/_=-]{32,}/g

/** For texts of agents that are told or written down before anybody has looked for tokens in them. */
export function hideTokens(text: string): string {
  let rest = text.replaceAll(anyUuid, hidden).replaceAll(longRun, (run) => (/[0-9]/.test(run) ? hidden : run))
  for (let found = findKnownShape(rest); found !== null; found = findKnownShape(rest)) rest = rest.replaceAll(found.token, hidden)
  return rest
}

const hidden = '(hidden)'

/** Bits a character below which a text is words, not chance. Hex has up to 4, base64 up to 6, English text about 2.5 to 3.5 without blanks. */
const bitsMin = 3

/**
 * Whether a text in a place meant for a token is one: chance in it, of a token's characters, and long enough. Providers that mark nothing
 * (a UUID, 40 hex digits) are found by this alone, so it is asked only where a name says `token` or the like.
 */
export function looksRandom(text: string): boolean {
  if (uuid.test(text)) return true
  if (anyPlaceholder.test(text) || !tokenCharacters.test(text)) return false
  return /[0-9]/.test(text) ? bitsOf(text) >= bitsMin : bitsOf(text) >= bitsMin && /[a-z][A-Z]|[A-Z][a-z][A-Z]/.test(text)
}

/** Shannon entropy, bits a character. */
function bitsOf(text: string): number {
  const counts = new Map<string, number>()
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1)
  let bits = 0
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length)
  return bits
}

const words = /[a-z0-9]+/g
const secretNames = new Set(
  (
    'token apitoken accesstoken authtoken bearertoken refreshtoken idtoken sessiontoken privatetoken deploytoken projecttoken securitytoken ' +
    'apikey accesskey secretkey privatekey authkey signingkey masterkey servicekey apisecret clientsecret appsecret secret password passwd ' +
    'passphrase pwd auth authorization authentication credential credentials jwt bearer signature sig sas oauth sessionid sessid session pat'
  ).split(' '),
)
/** About a credential, and none itself. */
const aboutEndings = new Set('id ids name names type kind count limit max url uri method mode provider policy'.split(' '))
const harmlessStarts = new Set('max csrf xsrf idempotency'.split(' '))
/** A token that is a place in a list. */
const placeWords = new Set('page next previous prev continuation cursor sync marker pagination start resume cancel'.split(' '))

const nameBytesMax = 128
const namesKept = 2_000
const judged = new Map<string, boolean>()

/** Whether a header, parameter or key of this name is meant for a credential: `X-API-Key`, `access_token`, `clientSecret`. */
export function isSecretName(name: string): boolean {
  if (name.length > nameBytesMax) return false
  const known = judged.get(name)
  if (known !== undefined) return known
  if (judged.size >= namesKept) judged.clear()
  const secret = judgeName(name)
  judged.set(name, secret)
  return secret
}

function judgeName(name: string): boolean {
  const spread = name.replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2').toLowerCase()
  const parts: readonly string[] = spread.match(words) ?? []
  if (parts.length === 0) return false
  const joined = parts.join('')
  if (secretNames.has(joined)) return true
  const [first = ''] = parts
  const last = parts.at(-1) ?? ''
  if (aboutEndings.has(last) || harmlessStarts.has(first) || (last === 'token' && placeWords.has(parts.at(-2) ?? '')))
    return false
  const lastTwo = parts.slice(-2).join('')
  return secretNames.has(last) || secretNames.has(lastTwo) || parts.includes('token') || parts.includes('secret')
}
