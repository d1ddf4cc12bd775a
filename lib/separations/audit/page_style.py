"""The look of the audit's page: light and dark, wide and narrow, on paper."""

STYLE = """
:root{color-scheme:light dark;--back:#fff;--ink:#1b1b1b;--soft:#555;--line:#cfcfcf;--tint:#f4f5f6;--link:#00559a;
--generated:#0072b2;--reference:#d55e00;--third:#009e73;--fourth:#b0578d;--found:#b3001b;--clear:#00664b;--heat:#0072b2}
@media(prefers-color-scheme:dark){:root{--back:#14161a;--ink:#e9e9e9;--soft:#b4b7bd;--line:#44484f;--tint:#1f2228;--link:#8cc8ff;
--generated:#56b4e9;--reference:#ff9248;--third:#3fc79d;--fourth:#e39cc4;--found:#ff8f8f;--clear:#6fdcb5;--heat:#0a6fae}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--back);color:var(--ink);font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main,header,footer{max-width:74rem;margin:0 auto;padding:0 clamp(1rem,3vw,2rem)}
h1,h2,h3{line-height:1.2;text-wrap:balance;overflow-wrap:anywhere}
h1{font-size:1rem;font-weight:600;color:var(--soft);margin:1.2rem 0 0}
h2{font-size:1.45rem;margin:3rem 0 .6rem;padding-top:.7rem;border-top:2px solid var(--line)}
h3{font-size:1.05rem;margin:1.4rem 0 .4rem}
p,li,dd{overflow-wrap:anywhere}
p,ul,ol{max-width:46rem;margin:.5rem 0}
a{color:var(--link)}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:.5rem;background:var(--back);padding:.3rem .6rem}
.note,figcaption,.made{color:var(--soft);font-size:.9rem}
.num{font-variant-numeric:tabular-nums}dd.num{white-space:nowrap;font-size:.97em}
bdi{unicode-bidi:isolate;overflow-wrap:anywhere}
nav ul{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;list-style:none;padding:0;margin:1.4rem 0 0;max-width:none;font-size:.95rem}
nav a{display:inline-block;padding:.25rem 0}
.verdict{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,27rem);gap:1rem 3rem;align-items:center;margin-top:.4rem}
.verdict>*{min-width:0}
.word{font-size:clamp(1.9rem,5.2vw,3.1rem);font-weight:700;line-height:1.1;margin:.1rem 0 .8rem;color:var(--ink)}
.word .sign{font-size:.75em;margin-right:.3em;color:var(--soft)}
.word.bad,.word.bad .sign{color:var(--found)}.word.good .sign{color:var(--clear)}
.verdict p{font-size:1.06rem}
.limits{border-left:4px solid var(--line);padding:.1rem 0 .1rem 1rem;margin:1rem 0}
.limits h2{font-size:1rem;margin:.3rem 0;padding:0;border:0}.limits ul{padding-left:1.1rem}
.status{border:2px solid var(--line);border-radius:.4rem;padding:.5rem .9rem;max-width:46rem}
.status.bad{border-color:var(--found)}
.facts{display:grid;grid-template-columns:fit-content(44%) minmax(0,1fr);gap:.15rem .9rem;margin:.5rem 0}
.facts dt{color:var(--soft)}.facts dd{margin:0}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,24rem),1fr));gap:1.4rem 2rem;margin:1rem 0}
figure{margin:0;min-width:0}
svg.chart{display:block;width:100%;height:auto;color:var(--ink)}
svg.chart text{font-family:inherit}
.scroll{overflow-x:auto;margin:.8rem 0;max-width:100%}
table{border-collapse:collapse;font-size:.95rem}
th,td{text-align:left;vertical-align:top;padding:.4rem 1rem .4rem 0;border-bottom:1px solid var(--line)}
thead th{border-bottom:2px solid var(--ink);vertical-align:bottom}
td.num,th.num{text-align:right;white-space:nowrap;padding-left:.5rem}
th[scope=row]{font-weight:600;min-width:7.5rem;max-width:22rem;overflow-wrap:break-word}
th div.wide{min-width:13rem;font-weight:600}th small{font-weight:400;color:var(--soft)}td small{color:var(--soft);white-space:normal}
td.words{min-width:16rem;color:var(--soft);font-size:.9rem}
td bdi,th bdi{display:inline-block;max-width:22rem;overflow-wrap:break-word}
details{margin:.8rem 0}summary{cursor:pointer;color:var(--link);padding:.2rem 0}
.show{border:0;padding:0;margin:.8rem 0;display:flex;flex-wrap:wrap;gap:.2rem 1.4rem}
.show legend{float:left;padding:0;margin-right:1.2rem;line-height:1.5;padding-top:.3rem;color:var(--soft)}
.show label{padding:.3rem 0;cursor:pointer}
#pairs:has(#show-found:checked) .pair.clear,#pairs:has(#show-clear:checked) .pair.found{display:none}
.pairs{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,30rem),1fr));gap:1rem}
.pair{border:1px solid var(--line);border-radius:.5rem;padding:.7rem .9rem .8rem;min-width:0;break-inside:avoid}
.pair.found{border-left:6px solid var(--found)}.pair.clear{border-left:6px double var(--line)}
.pair h3{margin:0;display:flex;flex-wrap:wrap;gap:.2rem .8rem;align-items:center}
.mark{font-size:.9rem;font-weight:600;border:2px solid;border-radius:1rem;padding:0 .7rem;white-space:nowrap}
.pair.found .mark{color:var(--found)}.pair.clear .mark{color:var(--soft);border-style:dashed}
.four{display:grid;grid-template-columns:repeat(4,minmax(0,1fr));gap:.6rem;margin:.6rem 0 .3rem}
.four img{display:block;width:100%;border:1px solid var(--line);image-rendering:pixelated;background:#fff}
.four img.signal{image-rendering:auto}
.four figcaption{font-size:.8rem;line-height:1.25;margin-top:.2rem}
.pair .facts{font-size:.9rem;margin:.4rem 0 0}
.sets{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr));gap:1rem 2rem}
.sets>div{min-width:0}
code{font:.85em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
footer{margin-top:3rem;padding-bottom:3rem}
@media(max-width:56rem){.verdict{grid-template-columns:minmax(0,1fr)}}
@media(max-width:30rem){.four{grid-template-columns:repeat(2,minmax(0,1fr))}td bdi,th bdi{max-width:11rem}}
@media(prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
@media print{:root{--back:#fff;--ink:#000;--soft:#333;--line:#999;--generated:#0072b2;--reference:#d55e00;--third:#009e73;--fourth:#b0578d;
--found:#8b0015;--clear:#00553f;--heat:#0072b2}html{font-size:10pt}table{font-size:.85rem}td.num,th.num{white-space:normal}td.words{min-width:0}nav,.show,.skip{display:none}.scroll{overflow:visible}details::details-content{content-visibility:visible}
.pairs,.charts{grid-template-columns:1fr 1fr}.four img{print-color-adjust:exact}h2,h3{break-after:avoid}figure,tr,.verdict{break-inside:avoid}}
"""
