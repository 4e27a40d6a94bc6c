#include "music/report/atlas_page.h"

namespace music {

const std::string_view kAtlasStyle = R"css(
svg.exemplars { display: block; max-width: 100%; }
body.atlas { max-width: none; height: 100vh; height: 100dvh; padding: 0; display: flex; flex-direction: column; overflow: hidden; }
body.atlas > header { padding: .75rem 1.25rem 0; }
body.atlas > header h1 { font-size: 1.25rem; margin: 0; }
body.atlas > header p { margin: .1rem 0 0; }
#app { flex: 1; min-height: 0; display: grid; grid-template: auto 1fr / minmax(0, 1fr) 0; }
.with-image #app { grid-template-columns: minmax(0, 1fr) min(26rem, 42vw); }
.bar { grid-column: 1 / -1; display: flex; flex-wrap: wrap; align-items: center; gap: .5rem .75rem; padding: .6rem 1.25rem; border-bottom: 1px solid var(--line); }
.tabs { gap: 0; margin-right: auto; }
.tabs button { border-radius: 0; margin-left: -1px; padding: .25rem .9rem; }
.tabs button:first-child { border-radius: 6px 0 0 6px; margin: 0; } .tabs button:last-child { border-radius: 0 6px 6px 0; }
.tabs button[aria-current="true"] { background: var(--accent); border-color: var(--accent); color: var(--paper); }
.bar input[type="search"] { width: 11rem; } .bar select { max-width: 12rem; }
.bar input[type="range"] { width: 7rem; }
#view { overflow: auto; padding: .75rem 1.25rem 2rem; outline: none; overscroll-behavior: contain; position: relative; }
aside { overflow: auto; overscroll-behavior: contain; background: var(--card); }
.with-image aside { border-left: 1px solid var(--line); padding: 1rem 1.1rem 2rem; }
.status { margin: 0 0 .6rem; min-height: 1.9rem; }
.chip { border-radius: 1rem; font-size: .8rem; padding: .1rem .6rem; margin-left: .25rem; color: var(--ink); }
.tile { padding: 0; border: 0; border-radius: 5px; background-repeat: no-repeat; cursor: pointer; overflow: hidden; }
.tile::after, .picture::after { content: ""; position: absolute; inset: 0; border-radius: inherit; box-shadow: inset 0 0 0 1px rgb(128 128 128 / .22); pointer-events: none; }
.bar button, .bar select, .bar input { font-size: .9rem; }
.dead-units { margin-top: 1rem; font-size: .9rem; }
.tile:hover, .tile:focus-visible { outline: 3px solid var(--accent); outline-offset: 0; z-index: 1; }
.tile.open { outline: 3px solid var(--ink); outline-offset: 0; }
.grid { position: relative; contain: layout style; }
.grid .tile { position: absolute; top: 0; left: 0; contain: strict; }
.grid .tile:hover, .grid .tile:focus-visible, .grid .tile.open { contain: layout style; }
.tile.fixed { width: var(--tile, 3.5rem); height: var(--tile, 3.5rem); flex: none; position: relative; }
.chooser { display: flex; flex-wrap: wrap; gap: 4px; margin-bottom: .75rem; }
.chooser button { padding: .15rem 0 .3rem; width: 2.4rem; font-size: .8rem; font-variant-numeric: tabular-nums; position: relative; overflow: hidden; }
.chooser button::after { content: ""; position: absolute; left: 0; bottom: 0; height: 3px; width: calc(var(--usage) * 100%); background: var(--accent); opacity: .55; }
.chooser button[aria-selected="true"] { background: var(--accent); border-color: var(--accent); color: var(--paper); }
.units { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 37rem), 1fr)); gap: .35rem 1.25rem; margin-top: .75rem; }
.unit-row { display: flex; align-items: center; gap: .6rem; min-width: 0; }

.unit { position: relative; flex: none; width: 7rem; height: 3.5rem; padding: .15rem .5rem; display: grid; text-align: left; font-size: .78rem; line-height: 1.25; align-content: center; overflow: hidden; }
.unit::before { content: ""; position: absolute; inset: auto auto 0 0; height: 4px; width: calc(var(--share) * 100%); background: hsl(var(--h) 55% 50%); }
.strip { display: flex; gap: 3px; min-width: 0; overflow: hidden; padding: 3px; margin: -3px; }
.detail-head { display: flex; gap: .9rem; align-items: flex-start; position: relative; }
.detail-head h2 { border: 0; margin: 0 1.6rem 0 0; padding: 0; font-size: 1.15rem; overflow-wrap: anywhere; }
.detail-head .name { overflow-wrap: anywhere; }
.picture { width: 8rem; height: 8rem; border-radius: 8px; flex: none; background-repeat: no-repeat; position: relative; }
.close { position: absolute; right: -.3rem; top: -.3rem; width: 2rem; height: 2rem; padding: 0; font-size: 1.2rem; line-height: 1; border: 0; }
.code { display: grid; grid-template-columns: repeat(auto-fill, minmax(2.15rem, 1fr)); gap: 3px; }
.cell { padding: 0; height: 1.9rem; border: 0; border-radius: 4px; font-size: .75rem; font-variant-numeric: tabular-nums; background: hsl(var(--h) 60% 55% / calc(.12 + .6 * var(--q))); }
.cell.same { box-shadow: inset 0 0 0 2.5px var(--ink); font-weight: 700; }
.cell.different { box-shadow: inset 0 0 0 2.5px var(--bad); text-decoration: line-through; }
.near { display: grid; grid-template-columns: repeat(3, 1fr); gap: .75rem; margin-top: 1rem; }
.near h3 { margin: 0 0 .4rem; font-size: .9rem; }
.near-tiles { display: grid; grid-template-columns: repeat(2, 1fr); gap: .4rem; }
.near-tiles .tile.fixed { width: 100%; height: auto; aspect-ratio: 1; display: block; }
.captioned { display: block; text-align: center; font-size: .72rem; } .captioned .note { font-size: inherit; font-variant-numeric: tabular-nums; }
.tile.shared { box-shadow: 0 0 0 2px var(--accent); }
@media (max-width: 46rem) {
  body.atlas > header { padding: .5rem .75rem 0; } body.atlas > header h1 { font-size: 1.05rem; }
  .bar { padding: .5rem .75rem; gap: .4rem; } .bar input[type="search"] { flex: 1; width: 6rem; } .bar select { max-width: 8rem; } .bar input[type="range"] { display: none; }
  #view { padding: .6rem .75rem 2rem; }
  .with-image #app { grid-template-columns: minmax(0, 1fr) 0; }
  .with-image aside { position: fixed; inset: auto 0 0; max-height: 72dvh; border: 0; border-top: 1px solid var(--line); border-radius: 14px 14px 0 0; box-shadow: 0 -8px 30px rgb(0 0 0 / .3); z-index: 2; }
  .unit { width: 5.4rem; } .tile.fixed { --tile: 2.9rem; } .unit { height: 2.9rem; font-size: .7rem; } .unit .note { display: none; }
  .picture { width: 6rem; height: 6rem; }
}
)css";

}  // namespace music
