#include "music/report/atlas_page.h"

namespace music {

const std::string_view kAtlasPage = R"js(
const usage = s => {
  let h = 0;
  for (let u = 0; u < atlas.sizes[s]; ++u) {
    const p = atlas.count[atlas.begin[s] + u] / atlas.n;
    if (p > 0) h -= p * Math.log(p);
  }
  return h / Math.log(atlas.sizes[s]);
};
const usages = Array.from({ length: atlas.S }, (_, s) => usage(s));
const show_unit = (s, u) => go({ view: 'images', same: new Map([[s, u]]), different: new Map(), like: -1, text: '' });

let shown_segment = -1;
const segments_view = () => {
  const s = state.segment;
  if (shown_segment === s && main.firstChild?.classList.contains('segments')) return;
  shown_segment = s;
  const chooser = make('div', { class: 'chooser', role: 'tablist', 'aria-label': 'Segments' });
  for (let t = 0; t < atlas.S; ++t) {
    const button = make('button', { type: 'button', role: 'tab', 'aria-selected': String(t === s),
      title: 'segment ' + t + ': ' + atlas.sizes[t] + ' units, entropy of its counts ' + usages[t].toFixed(2) + ' of 1',
      onclick: () => go({ segment: t }) }, String(t));
    button.style.setProperty('--usage', usages[t]);
    chooser.append(button);
  }
  const order = Array.from({ length: atlas.sizes[s] }, (_, u) => u)
    .sort((u, v) => atlas.count[atlas.begin[s] + v] - atlas.count[atlas.begin[s] + u] || u - v);
  const most = Math.max(1, atlas.count[atlas.begin[s] + order[0]]);
  const list = make('div', { class: 'units' }), dead = make('div', { class: 'units' });
  for (const u of order) {
    const unit = atlas.begin[s] + u, count = atlas.count[unit];
    const head = make('button', { class: 'unit', type: 'button', title: 'all images of this unit',
      onclick: () => show_unit(s, u) },
      make('b', {}, s + ':' + u), make('span', {}, plural(count, 'image')),
      make('span', { class: 'note' }, count ? 'sure ' + atlas.confidence[unit].toFixed(2) : ''));
    head.style.setProperty('--share', count / most);
    head.style.setProperty('--h', hue(u));
    const strip = make('div', { class: 'strip' });
    for (let e = 0; e < atlas.per; ++e) {
      const i = atlas.best[unit * atlas.per + e];
      if (i < 0) break;
      const tile = make('button', { class: 'tile fixed', type: 'button', onclick: () => go({ image: i }),
        title: atlas.name(i) + (atlas.label(i) ? '\n' + atlas.label(i) : '') });
      tile.setAttribute('aria-label', 'image ' + i);
      sprites.unit(tile, s, u, e);
      strip.append(tile);
    }
    (count ? list : dead).append(make('div', { class: 'unit-row' }, head, strip));
  }
  main.replaceChildren(make('div', { class: 'segments' }, chooser,
    make('p', { class: 'note' }, 'Segment ' + s + ': ' + atlas.sizes[s] + ' units, entropy of the counts ' +
      usages[s].toFixed(2) + ' of 1. Each row is a unit, most frequent first, with the images that it is surest of.'),
    list,
    ...(dead.children.length ? [make('details', { class: 'dead-units' },
      make('summary', {}, plural(dead.children.length, 'unit') + ' that no image has, with the images that come nearest'), dead)] : [])));
  main.scrollTop = 0;
};

const chip = (text, off) => make('button', { class: 'chip', type: 'button', title: 'take away', onclick: off }, text, ' ×');
const without = (map, s) => { const copy = new Map(map); copy.delete(s); return copy; };
const images_view = () => {
  if (!grid.inner.isConnected) main.replaceChildren(status_line, grid.inner);
  const list = found();
  const chips = [];
  for (const [s, u] of state.same) chips.push(chip(s + ':' + u, () => go({ same: without(state.same, s) })));
  for (const [s, u] of state.different) chips.push(chip('not ' + s + ':' + u, () => go({ different: without(state.different, s) })));
  if (state.like >= 0) chips.push(chip('by agreement with ' + atlas.name(state.like), () => go({ like: -1 })));
  status_line.replaceChildren(plural(list.length, 'image') + ' ', ...chips);
  if (!list.length) status_line.append(' Nothing satisfies all of this: take a condition away.');
  grid.show(list);
};

const cell_click = (i, s) => {
  const same = new Map(state.same), different = new Map(state.different), u = atlas.unit(i, s);
  if (same.get(s) === u) { same.delete(s); different.set(s, u); }
  else if (different.get(s) === u) different.delete(s);
  else { same.set(s, u); different.delete(s); }
  go({ view: 'images', same, different, like: same.size || different.size ? i : -1, text: '' });
};
let detail_of = -1;
const detail = () => {
  const i = state.image;
  document.body.classList.toggle('with-image', i >= 0);
  if (i < 0) { aside.replaceChildren(); detail_of = -1; return; }
  for (const tile of aside.querySelectorAll('.cell')) cell_state(tile, i);
  if (detail_of === i) return;
  detail_of = i;
  const picture = make('div', { class: 'picture', role: 'img', 'aria-label': atlas.name(i) });
  sprites.show(picture, i);
  const code = make('div', { class: 'code', role: 'group', 'aria-label': 'Code' });
  for (let s = 0; s < atlas.S; ++s) {
    const u = atlas.unit(i, s), q = atlas.sure[i * atlas.S + s] / 255;
    const cell = make('button', { class: 'cell', type: 'button', onclick: () => cell_click(i, s),
      title: 'segment ' + s + ', unit ' + u + ', q = ' + q.toFixed(2) + ', ' +
        plural(atlas.count[atlas.begin[s] + u], 'image') }, String(u));
    cell.dataset.segment = s;
    cell.style.setProperty('--h', hue(u));
    cell.style.setProperty('--q', q);
    cell_state(cell, i);
    code.append(cell);
  }
  const near = make('div', { class: 'near' });
  aside.replaceChildren(
    make('div', { class: 'detail-head' },
      make('button', { class: 'close', type: 'button', title: 'close (Esc)', onclick: () => go({ image: -1 }) }, '×'),
      picture,
      make('div', {}, make('h2', {}, atlas.label(i) || 'Image ' + i),
        make('p', { class: 'note name' }, atlas.name(i)), make('p', { class: 'note' }, 'image ' + i.toLocaleString('en')))),
    make('h3', {}, 'Code'),
    code,
    make('p', { class: 'note' }, 'Colour: the unit; strength: how sure. Click a segment for the images that share it, again for those that differ, again to let it be.'),
    near);
  aside.scrollTop = 0;
  atlas.neighbours(i).then(kinds => {
    if (!kinds || state.image !== i) return;
    const times = new Map();
    for (const kind of kinds) for (const j of kind.images) times.set(j, (times.get(j) || 0) + 1);
    const column = (title, about, kind, say) => make('section', { title: about }, make('h3', {}, title),
      make('div', { class: 'near-tiles' }, ...Array.from(kind.images, (j, r) =>
        thumb(j, times.get(j) === 3 ? ' shared' : '', say(kind.scores[r])))));
    near.replaceChildren(
      column('Code', 'most segments that agree', kinds[0], x => atlas.S - x + '/' + atlas.S),
      column('Soft code', 'segments expected to agree when units are drawn from q', kinds[1], x => x.toFixed(1)),
      column('Features', 'cosine of pooled features', kinds[2], x => x.toFixed(3)));
  }).catch(error => near.replaceChildren(make('p', { class: 'note' }, error.message)));
};
const cell_state = (cell, i) => {
  const s = Number(cell.dataset.segment), u = atlas.unit(i, s);
  cell.classList.toggle('same', state.same.get(s) === u);
  cell.classList.toggle('different', state.different.get(s) === u);
};

const tabs = {};
const controls = () => {
  const tab = (view, text) => tabs[view] = make('button', { type: 'button', onclick: () => go({ view }) }, text);
  const label = make('select', { 'aria-label': 'Class', onchange: e => go({ view: 'images', label: Number(e.target.value) }) },
    make('option', { value: -1 }, 'all classes'), ...atlas.classes.map((name, c) => make('option', { value: c }, name)));
  const text = make('input', { type: 'search', placeholder: 'name, or 3:17', 'aria-label': 'Name or segment:unit',
    oninput: e => {
      const value = e.target.value.trim(), pair = /^(\d+):(\d+)$/.exec(value);
      if (pair && Number(pair[1]) < atlas.S && Number(pair[2]) < atlas.sizes[pair[1]])
        go({ view: 'images', same: new Map([[Number(pair[1]), Number(pair[2])]]), different: new Map(), like: -1, text: '' }, true);
      else go({ view: 'images', text: pair ? '' : value }, true);
    } });
  const size = make('input', { type: 'range', min: 32, max: 160, step: 8, value: state.size, 'aria-label': 'Size',
    oninput: e => { state.size = Number(e.target.value); grid.layout(); } });
  bar.append(make('nav', { class: 'tabs', 'aria-label': 'Views' }, tab('segments', 'Segments'), tab('images', 'Images'),
    ...(attributes ? [tab('attributes', 'Attributes')] : [])),
    ...(atlas.classes.length ? [label] : []), text, size);
  return () => {
    for (const [view, button] of Object.entries(tabs)) button.setAttribute('aria-current', String(view === state.view));
    label.value = state.label;
    if (document.activeElement !== text) text.value = state.text;
    size.hidden = state.view !== 'images';
  };
};
const refresh = controls();
function render() {
  refresh();
  if (state.view === 'images') images_view();
  else if (state.view === 'attributes') main.replaceChildren(attributes);
  else segments_view();
  detail();
  if (state.view === 'images') grid.place();
}
window.addEventListener('popstate', () => { read_address(); render(); });
window.addEventListener('keydown', e => {
  if (e.key === 'Escape' && state.image >= 0) go({ image: -1 });
  if (e.target.closest?.('input, select')) return;
  if (e.key === '/') { e.preventDefault(); bar.querySelector('input').focus(); }
  const step = { '[': -1, ']': 1 }[e.key];
  if (step && state.view === 'segments') go({ segment: (state.segment + step + atlas.S) % atlas.S });
});
document.getElementById('app').append(bar, main, aside);
if (attributes) attributes.remove(), attributes.hidden = false;
document.body.classList.add('atlas');
read_address();
render();
// Of a few thousand images all sheets are fetched while nothing else is to be done.
const fetch_on = i => {
  if (i >= Math.min(atlas.n, 20000)) return;
  sprites.ahead(i);
  setTimeout(() => fetch_on(i + 256), 30);
};
setTimeout(() => fetch_on(0), 500);
atlas.load('page/names.js').then(names => {
  atlas.names = names;
  detail_of = shown_segment = -1;
  for (const tile of main.querySelectorAll('.grid .tile')) tile.image = -1;
  render();
}).catch(() => {});
)js";

}  // namespace music
