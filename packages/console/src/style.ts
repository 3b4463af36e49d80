/** The one style sheet, put into each page under its nonce. System fonts, no images, both colour schemes. */
export const style = `
:root{color-scheme:light dark;--bg:#f6f6f3;--card:#fff;--ink:#1b1c1e;--dim:#5d6066;--line:#dfdfd9;--soft:#f1f1ed;--red:#a8201a;--red-bg:#fcefed;--amber:#7a4f00;--amber-bg:#fbf3df;--green:#1c6537;--green-bg:#eaf5ed;--blue:#1f4f9e}
@media(prefers-color-scheme:dark){:root{--bg:#141517;--card:#1c1e21;--ink:#e9e9e6;--dim:#a2a5ab;--line:#33363b;--soft:#24272b;--red:#ff9a90;--red-bg:#3a1c1a;--amber:#f0c36a;--amber-bg:#33280f;--green:#84d3a0;--green-bg:#16301f;--blue:#8fb8ff}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:46rem;margin:0 auto;padding:1.5rem 1rem 4rem}
main.wide{max-width:68rem}
main.narrow{max-width:27rem;padding-top:12vh}
h1{font-size:1.55rem;line-height:1.25;letter-spacing:-.015em;font-weight:650;margin:0 0 .4rem;text-wrap:balance;overflow-wrap:anywhere}
h2{font-size:1rem;font-weight:650;margin:0 0 .75rem}
h3{font-size:.95rem;font-weight:600;margin:0 0 .3rem;overflow-wrap:anywhere}
p{margin:0 0 .75rem}
a{color:var(--blue)}
.top{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;align-items:center;padding:.55rem 1rem;border-bottom:1px solid var(--line);background:var(--card);font-size:.9rem}
.top a{color:var(--dim);text-decoration:none;padding:.35rem 0;border-bottom:2px solid transparent}
.top a:hover,.top a[aria-current]{color:var(--ink);border-color:currentColor}
.top .mark{font-weight:650;color:var(--ink);letter-spacing:-.01em;border:0!important}
.top .who{margin-left:auto;color:var(--dim);display:flex;gap:.7rem;align-items:center}
.pill{background:var(--red);color:var(--card);border-radius:9px;padding:0 .42rem;font-size:.78rem;font-weight:650}
.note{padding:.5rem 1rem;background:var(--amber-bg);color:var(--amber);margin:0;border-bottom:1px solid var(--line);font-size:.86rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1.1rem 1.15rem;margin:0 0 1rem}
.card>:last-child{margin-bottom:0}
.facts+.buttons{margin-top:.9rem}
.hero{border-left:5px solid var(--line)}
.hero.danger{border-left-color:var(--red)}.hero.warn{border-left-color:var(--amber)}
.hero h1::first-letter{text-transform:uppercase}
.dim{color:var(--dim)}.small{font-size:.86rem}
.badge{display:inline-block;border-radius:5px;padding:.08rem .45rem;font-size:.78rem;font-weight:600;background:var(--soft);color:var(--dim);white-space:nowrap}
.badge.danger{background:var(--red-bg);color:var(--red)}.badge.warn{background:var(--amber-bg);color:var(--amber)}.badge.good{background:var(--green-bg);color:var(--green)}
.facts{list-style:none;padding:0;margin:.2rem 0 0}
.facts li{padding:.1rem 0 .1rem 1.1rem;position:relative}
.facts li::before{content:"–";position:absolute;left:0;color:var(--dim)}
.facts .bad{color:var(--red);font-weight:600}
dl{display:grid;grid-template-columns:minmax(6.5rem,max-content) 1fr;gap:.3rem 1rem;margin:0;font-size:.92rem}
dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere;min-width:0}
code,pre,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.84rem}
code,output{overflow-wrap:anywhere}
.fence{margin:0 0 1rem}.fence+h3{margin-top:1rem}
figcaption{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 1rem;font-size:.86rem;margin-bottom:.4rem;font-weight:600}
figcaption .dim{font-weight:400}
pre{margin:0;background:var(--soft);border:1px solid var(--line);border-radius:7px;padding:.75rem .85rem;max-height:26rem;overflow:auto;overflow-wrap:anywhere;white-space:pre-wrap;tab-size:4;line-height:1.5;unicode-bidi:isolate}
mark{background:var(--amber-bg);color:var(--amber);border:1px solid currentColor;border-radius:3px;padding:0 .15em;font-size:.92em}
.odd{color:var(--amber);background:var(--amber-bg);border-radius:6px;padding:.35rem .6rem;font-size:.86rem;margin:0 0 .5rem;overflow-wrap:anywhere}
.op{border-top:1px solid var(--line);padding-top:.9rem;margin-top:.9rem}.op:first-of-type{border:0;padding:0;margin:0}
.fine dl{font-size:.8rem}.fine code{font-size:.76rem}
label{display:block;font-weight:600;font-size:.9rem;margin-bottom:.3rem}
input,textarea{width:100%;font:inherit;color:inherit;background:var(--bg);border:1px solid var(--dim);border-radius:7px;padding:.55rem .7rem;margin-bottom:.9rem}
textarea{min-height:4.2rem;resize:vertical}
button{font:inherit;font-weight:600;border-radius:8px;padding:.62rem 1.1rem;border:1px solid var(--dim);background:var(--card);color:var(--ink);cursor:pointer}
button:hover{background:var(--soft)}
button:disabled{opacity:.5;cursor:default}
button.main{background:var(--ink);color:var(--card);border-color:var(--ink)}
button.main:hover{opacity:.9}
button.stop{color:var(--red);border-color:var(--red)}
button.slight{padding:.18rem .6rem;font-size:.84rem;font-weight:500}
:focus-visible{outline:3px solid var(--blue);outline-offset:2px}
.buttons{display:flex;gap:.7rem;flex-wrap:wrap}
[role=status]{min-height:1.55rem;margin:.8rem 0 0;font-size:.92rem}
[role=status]:empty{margin:0;min-height:0}
[role=status].bad{color:var(--red);font-weight:600}
.state{display:flex;gap:.7rem;flex-wrap:wrap;align-items:center;justify-content:space-between;margin-bottom:.5rem}.state h2{margin:0}
.rows{list-style:none;margin:0;padding:0}
.rows>li{border-top:1px solid var(--line)}.rows>li>.state{padding:.45rem 0;margin:0}.rows>li:first-child{border:0}
.rows a.row{display:block;padding:.85rem 0;color:inherit;text-decoration:none}
.rows a.row:hover h3{text-decoration:underline}
.rows code{display:block;color:var(--dim);margin:.15rem 0 .2rem}
.side h3{margin-top:1.3rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.88rem}
th{text-align:left;font-weight:500;color:var(--dim);font-size:.8rem}
th,td{padding:.38rem .6rem .38rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td:last-child{padding-right:0}
.feed{list-style:none;margin:0;padding:0;font-size:.86rem}
.feed li{display:grid;grid-template-columns:4.6rem 9.8rem 1fr;gap:0 .8rem;padding:.28rem 0;border-bottom:1px solid var(--line)}
.feed time{color:var(--dim);font-variant-numeric:tabular-nums}
.feed .what{font-weight:600}.feed .danger .what{color:var(--red)}.feed .warn .what{color:var(--amber)}
.feed .detail{overflow-wrap:anywhere;color:var(--dim);min-width:0}
.grid{display:grid;gap:1rem}
@media(min-width:62rem){.grid{grid-template-columns:minmax(0,1fr) 21rem;align-items:start}.side{grid-column:2;grid-row:1}}
@media(max-width:34rem){h1{font-size:1.32rem}.buttons button{flex:1 1 100%}.feed li{grid-template-columns:4.6rem 1fr}.feed .detail{grid-column:1/-1}dl{grid-template-columns:5.4rem 1fr;gap:.3rem .8rem}.fine dl{grid-template-columns:1fr;gap:0}.fine dd{margin-bottom:.35rem}}
`
