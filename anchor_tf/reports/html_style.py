"""How report.html looks: on a phone, on a large screen, on paper, in light and in dark."""

STYLE = """
:root {
  color-scheme: light dark;
  --text: #1d2430; --soft: #5a6475; --page: #ffffff; --card: #f3f5f8; --line: #d5dae2;
  --bar: #2f6fb3; --track: #dfe5ee; --mark: #12335a; --alert: #8a4b00; --alert-card: #fdf3e2;
}
@media (prefers-color-scheme: dark) {
  :root {
    --text: #e4e8ef; --soft: #a3adbd; --page: #14181f; --card: #1e242e; --line: #38414f;
    --bar: #5b9be0; --track: #2b3442; --mark: #d7e6f8; --alert: #ffc777; --alert-card: #33280f;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 60rem; padding: 1rem 1rem 3rem; background: var(--page);
  color: var(--text); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word;
}
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0.5rem 0; }
h2 {
  font-size: 1.2rem; margin: 2.2rem 0 0.6rem; padding-top: 0.8rem;
  border-top: 1px solid var(--line);
}
h3 { font-size: 1rem; margin: 1.2rem 0 0.4rem; }
p, .note { max-width: 46rem; }
.note { color: var(--soft); font-size: 0.9rem; }
a { color: inherit; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; list-style: none; padding: 0; }
nav { font-size: 0.9rem; }
code, pre { font-family: ui-monospace, monospace; font-size: 0.875em; }
pre {
  background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: 0.7rem;
  white-space: pre-wrap; overflow-wrap: anywhere;
}
dl.figures {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: 0.7rem;
  margin: 1rem 0;
}
dl.figures div { background: var(--card); border-radius: 8px; padding: 0.6rem 0.8rem; }
dl.figures dt { color: var(--soft); font-size: 0.85rem; }
dl.figures dd { margin: 0; font-size: 1.4rem; font-weight: 600; }
dl.figures dd small { display: block; font-size: 0.8rem; font-weight: 400; color: var(--soft); }
dl.facts { display: grid; grid-template-columns: minmax(8rem, 14rem) 1fr; gap: 0.3rem 1rem; }
dl.facts dt { color: var(--soft); }
dl.facts dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.92rem; }
th, td { padding: 0.3rem 0.7rem; border-bottom: 1px solid var(--line); text-align: right; }
th { font-weight: 600; }
tbody th { font-weight: 400; }
th:first-child, td:first-child, td.text { text-align: left; }
td { white-space: nowrap; }
td.text { white-space: normal; }
td.chart { min-width: 6rem; width: 40%; }
svg.bar { display: block; width: 100%; height: 0.9rem; }
svg .track { fill: var(--track); } svg .share { fill: var(--bar); }
svg .interval { stroke: var(--mark); stroke-width: 2; }
figure { margin: 1rem 0; }
figure img {
  max-width: 100%; height: auto; background: #ffffff; border-radius: 8px; padding: 0.4rem;
}
figcaption { color: var(--soft); font-size: 0.9rem; }
.alerts { background: var(--alert-card); color: var(--alert); border-radius: 8px; }
.alerts { padding: 0.6rem 0.8rem 0.6rem 2rem; }
@media (max-width: 36rem) {
  dl.facts { grid-template-columns: 1fr; gap: 0; }
  dl.facts dd { margin-bottom: 0.5rem; }
  th, td { padding: 0.3rem 0.4rem; }
}
@media print {
  :root {
    color-scheme: light;
    --text: #000000; --soft: #444444; --page: #ffffff; --card: #ffffff; --line: #999999;
    --bar: #2f6fb3; --track: #e6e6e6; --mark: #000000; --alert: #000000; --alert-card: #ffffff;
  }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  h2, h3 { break-after: avoid; }
  figure, tr, pre, dl.figures div { break-inside: avoid; }
  figure img { max-height: 20cm; }
  .wide { overflow: visible; }
  svg .share, svg .track { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
