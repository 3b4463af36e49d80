import { readFileSync } from 'node:fs'

/** The app's own colours and fonts, by their names without what Tailwind puts before them. */
function readTokens(): string {
  const text = readFileSync(new URL('./tokens.css', import.meta.url), 'utf8')
  const tokens = [...text.matchAll(/^ {2}--(?:color|font)-([a-z-]+): ([^;]+);$/gm)]
  return tokens.map(([, name, value]) => `--${name}:${value}`).join(';')
}

/** The one style sheet, put into each page under its nonce. System fonts, no images, both colour schemes. */
export const style = `
:root{color-scheme:light dark;${readTokens()}}
:root[data-theme=light]{color-scheme:light}:root[data-theme=dark]{color-scheme:dark}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--ink);font:.9375rem/1.55 var(--sans)}
main{max-width:46rem;margin:0 auto;padding:1.4rem 1rem 4rem}
main.wide{max-width:74rem}
main.narrow{max-width:27rem;padding-top:12vh}
h1{font-size:1.4rem;line-height:1.3;letter-spacing:-.015em;font-weight:600;margin:0 0 .4rem;text-wrap:balance;overflow-wrap:anywhere}
h2{font-size:.94rem;font-weight:600;margin:0 0 .65rem}
h3{font-size:.94rem;font-weight:600;margin:0 0 .3rem;overflow-wrap:anywhere}
p{margin:0 0 .75rem}
a{color:var(--accent)}
.top{display:flex;gap:.25rem;align-items:center;padding:.4rem 1rem;border-bottom:1px solid var(--line);background:var(--side);font-size:.875rem;overflow-x:auto;white-space:nowrap;scrollbar-width:none}
.top a{color:var(--dim);text-decoration:none;padding:.4rem .6rem;border-radius:6px;font-weight:500}
.top a:hover,.top a[aria-current]{color:var(--ink);background:var(--press)}
.top .mark{font-weight:600;color:var(--ink);font-size:1rem;letter-spacing:-.015em;background:none;padding-left:0;margin-right:.6rem}
.top .who{margin-left:auto;padding-left:1rem;color:var(--dim);display:flex;gap:.7rem;align-items:center}
.pill{background:var(--warn-soft);color:var(--warn);border-radius:9px;padding:.05rem .42rem;font-size:.75rem;font-weight:600}
.note{padding:.3rem 1rem;background:var(--warn-soft);color:var(--warn);margin:0;font-size:.8125rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.95rem 1rem;margin:0 0 1rem}
.card>:last-child{margin-bottom:0}
.facts+.buttons{margin-top:.9rem}
.hero{border-left:4px solid var(--line)}
.hero.danger{border-left-color:var(--bad)}.hero.warn{border-left-color:var(--warn)}
.hero h1::first-letter{text-transform:uppercase}
.dim{color:var(--dim)}.small{font-size:.8125rem}
.badge{display:inline-block;border-radius:4px;padding:.06rem .4rem;font-size:.75rem;font-weight:500;background:var(--soft);color:var(--dim);white-space:nowrap}
.badge.danger{background:var(--bad-soft);color:var(--bad)}.badge.strong{background:var(--press);color:var(--ink)}.badge.warn{background:var(--warn-soft);color:var(--warn)}.badge.good{background:var(--good-soft);color:var(--good)}
.facts{list-style:none;padding:0;margin:.2rem 0 0}
.facts li{padding:.1rem 0 .1rem 1.1rem;position:relative}
.facts li::before{content:"–";position:absolute;left:0;color:var(--dim)}
.facts .bad{color:var(--bad);font-weight:600}
dl{display:grid;grid-template-columns:minmax(6.5rem,max-content) 1fr;gap:.35rem 1rem;margin:0;font-size:.875rem}
dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere;min-width:0}
code,pre,.mono{font-family:var(--mono);font-size:.8125rem}
code,output{overflow-wrap:anywhere}
.fence{margin:0 0 1rem}.fence+h3{margin-top:1rem}
figcaption{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 1rem;font-size:.86rem;margin-bottom:.4rem;font-weight:600}
figcaption .dim{font-weight:400}
pre{margin:0;background:var(--soft);border:1px solid var(--line);border-radius:6px;padding:.7rem .8rem;max-height:26rem;overflow:auto;overflow-wrap:anywhere;white-space:pre-wrap;tab-size:4;line-height:1.5;unicode-bidi:isolate}
mark{background:var(--warn-soft);color:var(--warn);border:1px solid currentColor;border-radius:3px;padding:0 .15em;font-size:.92em}
.odd{color:var(--warn);background:var(--warn-soft);border-radius:6px;padding:.35rem .6rem;font-size:.86rem;margin:0 0 .5rem;overflow-wrap:anywhere}
details{margin:0 0 .8rem}summary{cursor:pointer;border-radius:4px}details[open]>summary{margin-bottom:.6rem}.buttons+details{margin:.9rem 0 0}
.op{border-top:1px solid var(--line);padding-top:.9rem;margin-top:.9rem}.op:first-of-type{border:0;padding:0;margin:0}
.fine dl{font-size:.8rem}.fine code{font-size:.76rem}
label{display:block;font-weight:600;font-size:.9rem;margin-bottom:.3rem}
input,textarea{width:100%;font:inherit;color:inherit;background:var(--ground);border:1px solid var(--edge);border-radius:6px;padding:.5rem .65rem;font-size:1rem;margin-bottom:.9rem}
textarea{min-height:4.2rem;resize:vertical}
button{font:inherit;font-weight:500;border-radius:6px;padding:.5rem .95rem;border:1px solid var(--edge);background:var(--card);color:var(--ink);cursor:pointer}
button:hover{background:var(--soft)}
button:disabled{opacity:.5;cursor:default}
button.main{background:var(--ink);color:var(--ground);border-color:var(--ink)}
button.main:hover{opacity:.9}
button.stop{color:var(--bad);border-color:var(--bad)}
button.slight{padding:.15rem .6rem;font-size:.8125rem}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.buttons{display:flex;gap:.7rem;flex-wrap:wrap}
[role=status]{min-height:1.55rem;margin:.8rem 0 0;font-size:.92rem}
[role=status]:empty{margin:0;min-height:0}
[role=status].bad{color:var(--bad);font-weight:600}
.state{display:flex;gap:.7rem;flex-wrap:wrap;align-items:center;justify-content:space-between;margin-bottom:.5rem}.state h2{margin:0}.state>span{font-size:.875rem}
.rows{list-style:none;margin:0;padding:0}
.rows>li{border-top:1px solid var(--line)}.rows>li>.state{padding:.45rem 0;margin:0}.rows>li:first-child{border:0}
.rows a.row{display:block;padding:.7rem 0;color:inherit;text-decoration:none}
.rows a.row:hover h3{text-decoration:underline}
.rows code{display:block;color:var(--dim);margin:.15rem 0 .2rem}
.rows .small code{display:inline;margin:0}
.side h3{margin-top:1.3rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.875rem}
th{text-align:left;font-weight:500;color:var(--dim);font-size:.8rem}
th,td{padding:.38rem .6rem .38rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td:last-child{padding-right:0}
.feed{list-style:none;margin:0;padding:0;font-size:.8125rem}
.feed li{display:grid;grid-template-columns:4.6rem 9.8rem 1fr;gap:0 .8rem;padding:.28rem 0;border-bottom:1px solid var(--line)}
.feed time{color:var(--dim);font-variant-numeric:tabular-nums}
.feed .what{font-weight:600}.feed .danger .what{color:var(--bad)}.feed .warn .what{color:var(--warn)}
.feed .detail{overflow-wrap:anywhere;color:var(--dim);min-width:0}
.grid{display:grid;gap:1rem}
@media(min-width:62rem){.grid{grid-template-columns:minmax(0,1fr) 22rem;align-items:start}.side{grid-column:2;grid-row:1}.side.stays{position:sticky;top:1rem}.stays .buttons button{flex:1 1 100%}}
@media(max-width:34rem){.top a,button,.buttons a{padding-top:.65rem;padding-bottom:.65rem}h1{font-size:1.25rem}.buttons button{flex:1 1 100%}.feed li{grid-template-columns:4.6rem 1fr}.feed .detail{grid-column:1/-1}dl{grid-template-columns:5.4rem 1fr;gap:.3rem .8rem}.fine dl{grid-template-columns:1fr;gap:0}.fine dd{margin-bottom:.35rem}}
`
