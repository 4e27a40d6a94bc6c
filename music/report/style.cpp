#include "music/report/style.h"

namespace music {

const std::string_view kStyleSheet = R"css(
:root {
  color-scheme: light dark;
  --paper: #f7f7f5; --card: #ffffff; --ink: #1d2126; --quiet: #61686f; --line: #dfe1e3;
  --accent: #2458c5; --good: #1b7a4b; --fair: #8a6100; --bad: #b3261e;
  --series-1: #2f66d0; --series-2: #cf6a08; --series-3: #16875d; --series-4: #b8377f;
  --series-5: #7350c4; --series-6: #8a7400; --series-7: #12859e; --series-8: #b93c32;
  --series-9: #8a4b2a; --series-10: #5f9a12; --series-11: #1b3f7a; --series-12: #9a2fb8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --card: #1c2024; --ink: #e4e6e8; --quiet: #9aa2aa; --line: #343a40;
    --accent: #86abff; --good: #5fce98; --fair: #e0b04a; --bad: #ff8a80;
    --series-1: #7aa5ff; --series-2: #ffa04d; --series-3: #4fcf9d; --series-4: #f07fbd;
    --series-5: #b298ff; --series-6: #d6bd3f; --series-7: #55c7df; --series-8: #ff8c80;
    --series-9: #d3a07c; --series-10: #a9dc55; --series-11: #9db8e0; --series-12: #e08bff;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 72rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif;
  overflow-wrap: break-word;
}
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p { margin: .5rem 0; }
a { color: var(--accent); }
code { font: .875em ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; font-size: .9rem; }
.note, figcaption { color: var(--quiet); font-size: .875rem; }
.warning { border-left: 3px solid var(--fair); padding-left: .75rem; }
.good { color: var(--good); } .fair { color: var(--fair); } .bad { color: var(--bad); }
.scroll { overflow-x: auto; margin: .35rem 0 .75rem; max-width: 100%; }
table { border-collapse: collapse; font-size: .875rem; background: var(--card); }
caption { text-align: left; color: var(--quiet); padding-bottom: .35rem; }
th, td { padding: .3rem .75rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
thead th { color: var(--quiet); font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 500; }
th.number, td.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.cards { display: grid; gap: .75rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); margin: 1rem 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .75rem 1rem; min-width: 0; }
.card h3 { margin-top: 0; }
figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; }
.pixels { image-rendering: pixelated; }
.pictures { display: grid; grid-auto-flow: dense; gap: 1rem; align-items: start; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
.pictures figure { margin: 0; }
.pictures .wide { grid-column: 1 / -1; }
.pictures img { display: block; width: 100%; }
.gallery { display: flex; flex-wrap: wrap; gap: .75rem; }
.gallery figure { margin: 0; max-width: 100%; }
summary { cursor: pointer; color: var(--accent); }
button, select, input { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .2rem .6rem; }
button { cursor: pointer; }
input[type="range"], input[type="checkbox"] { padding: 0; accent-color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.series-1 { color: var(--series-1); } .series-2 { color: var(--series-2); }
.series-3 { color: var(--series-3); } .series-4 { color: var(--series-4); }
.series-5 { color: var(--series-5); } .series-6 { color: var(--series-6); }
.series-7 { color: var(--series-7); } .series-8 { color: var(--series-8); }
.series-9 { color: var(--series-9); } .series-10 { color: var(--series-10); }
.series-11 { color: var(--series-11); } .series-12 { color: var(--series-12); }
@media (max-width: 30rem) {
  body { padding: 1rem .75rem 3rem; font-size: 15px; }
  h1 { font-size: 1.3rem; }
  th, td { padding: .3rem .5rem; }
}
@media print { body { max-width: none; background: none; } .scroll { overflow: visible; } }
)css";

}  // namespace music
