#include "music/report/atlas_page.h"

namespace music {

// In pieces: compilers promise 65,536 characters a literal.
const std::string_view kAtlasData = R"js('use strict';
// The data of the page, as typed arrays.
const atlas = (() => {
  const core = window.atlas_core;
  const bytes = text => {
    const raw = atob(text), out = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; ++i) out[i] = raw.charCodeAt(i);
    return out;
  };
  const as = (Type, text) => new Type(bytes(text).buffer);
  const S = core.segments.length, begin = [0];
  for (const size of core.segments) begin.push(begin[begin.length - 1] + size);
  const a = {
    n: core.images, S, sizes: core.segments, begin, tile: core.tile,
    classes: core.classes, per: core.exemplars, near: core.neighbours,
    codes: as(core.wide ? Uint16Array : Uint8Array, core.codes),
    sure: bytes(core.confidences), colours: bytes(core.colours),
    labels: as(Int32Array, core.labels), count: as(Uint32Array, core.counts),
    confidence: as(Float32Array, core.unit_confidences),
    best: as(Int32Array, core.unit_exemplars),
    names: null,
  };
  a.unit = (i, s) => a.codes[i * S + s];
  a.name = i => (a.names ? a.names[i] : 'image ' + i);
  a.label = i => (a.labels[i] < 0 ? '' : a.classes[a.labels[i]] ?? 'class ' + a.labels[i]);
  a.agree = (i, j) => {
    let same = 0;
    for (let s = 0; s < S; ++s) same += a.codes[i * S + s] === a.codes[j * S + s];
    return same;
  };
  // Files beside the page are scripts, because a page from disk may not fetch.
  const waiting = new Map();
  a.load = file => {
    if (!waiting.has(file)) waiting.set(file, new Promise((done, failed) => {
      const script = document.createElement('script');
      script.onload = () => done(script.data);
      script.onerror = () => failed(new Error(file + ' is not there'));
      script.src = file;
      document.head.append(script);
    }));
    return waiting.get(file);
  };
  window.atlas_part = data => { document.currentScript.data = data; };
  // [hamming, soft, feature] of image i: numbers and scores, or null.
  a.neighbours = async i => {
    if (!a.near) return null;
    const chunk = Math.floor(i / core.chunk);
    const part = await a.load('page/neighbours-' + String(chunk).padStart(5, '0') + '.js');
    if (!part.rows) part.rows = as(Int32Array, part.images), part.values = as(Float32Array, part.scores);
    const here = Math.min(core.chunk, a.n - chunk * core.chunk), at = i - chunk * core.chunk;
    return [0, 1, 2].map(kind => {
      const first = (kind * here + at) * a.near;
      return { images: part.rows.subarray(first, first + a.near),
               scores: part.values.subarray(first, first + a.near) };
    });
  };
  return a;
})();

// Thumbnails: a tile has its mean colour at once and its picture when the sheet is there.
const sprites = (() => {
  const sheets = new Map();
  const need = file => {
    let sheet = sheets.get(file);
    if (!sheet) {
      sheet = { ready: false, wait: new Set() };
      sheets.set(file, sheet);
      const image = new Image();
      image.onload = () => {
        (image.decode ? image.decode().catch(() => {}) : Promise.resolve()).then(() => {
          sheet.ready = true;
          for (const paint of sheet.wait) paint();
          sheet.wait.clear();
        });
      };
      image.src = file;
      sheet.image = image;
    }
    return sheet;
  };
  const paint = (element, file, columns, rows, x, y) => {
    const sheet = need(file);
    const style = element.style;
    const set = () => {
      if (element.sprite !== set) return;
      style.backgroundImage = 'url("' + file + '")';
      style.backgroundSize = columns * 100 + '% ' + rows * 100 + '%';
      style.backgroundPosition = (columns > 1 ? x / (columns - 1) * 100 : 0) + '% ' +
        (rows > 1 ? y / (rows - 1) * 100 : 0) + '%';
      element.dataset.ready = '1';
    };
    element.sprite = set;
    if (sheet.ready) { set(); return; }
    style.backgroundImage = 'none';
    delete element.dataset.ready;
    sheet.wait.add(set);
  };
  const columns = 16, per = columns * columns;
  const file = i => 'sheets/' + String(Math.floor(i / per)).padStart(5, '0') + '.jpg';
  const back = (element, i) => {
    const c = atlas.colours;
    element.style.backgroundColor = 'rgb(' + c[3 * i] + ' ' + c[3 * i + 1] + ' ' + c[3 * i + 2] + ')';
  };
  return {
    ahead: i => { need(file(i)); },
    show: (element, i) => {
      back(element, i);
      const at = i % per;
      paint(element, file(i), columns, columns, at % columns, Math.floor(at / columns));
    },
    // Exemplar e of a unit, from the segment's own sheet.
    unit: (element, s, u, e) => {
      const i = atlas.best[(atlas.begin[s] + u) * atlas.per + e];
      if (i >= 0) back(element, i);
      const size = atlas.sizes[s], rows = Math.min(256, size), wide = Math.ceil(size / 256) * atlas.per;
      paint(element, 'units/' + String(s).padStart(5, '0') + '.jpg', wide, rows,
            Math.floor(u / 256) * atlas.per + e, u % 256);
    },
  };
})();
)js";

const std::string_view kAtlasViews = R"js(
const make = (tag, attributes, ...children) => {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, '');
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
};
const plural = (n, one) => n.toLocaleString('en') + ' ' + one + (n === 1 ? '' : 's');
const hue = unit => Math.round(unit * 137.508) % 360;

// What is shown stands in the address: it survives a reload and has a way back.
const state = { view: 'segments', segment: 0, same: new Map(), different: new Map(),
                label: -1, text: '', like: -1, image: -1, size: 72 };
const pairs = map => [...map].map(([s, u]) => s + ':' + u).join(',');
const address = () => {
  const parts = new URLSearchParams();
  parts.set('view', state.view);
  if (state.view === 'segments') parts.set('segment', state.segment);
  if (state.same.size) parts.set('same', pairs(state.same));
  if (state.different.size) parts.set('different', pairs(state.different));
  if (state.label >= 0) parts.set('label', state.label);
  if (state.text) parts.set('name', state.text);
  if (state.like >= 0) parts.set('like', state.like);
  if (state.image >= 0) parts.set('image', state.image);
  return '#' + parts.toString();
};
const whole = (text, below) => {
  const value = /^\d+$/.test(text ?? '') ? Number(text) : -1;
  return value < below ? value : -1;
};
const read_address = () => {
  const parts = new URLSearchParams(location.hash.slice(1));
  const map = text => new Map((text || '').split(',').map(pair => {
    const [s, u] = pair.split(':');
    const segment = whole(s, atlas.S);
    return [segment, segment < 0 ? -1 : whole(u, atlas.sizes[segment])];
  }).filter(([s, u]) => s >= 0 && u >= 0));
  const view = parts.get('view');
  state.view = ['images', 'attributes'].includes(view) && (view !== 'attributes' || attributes) ? view : 'segments';
  state.segment = Math.max(0, whole(parts.get('segment'), atlas.S));
  state.same = map(parts.get('same'));
  state.different = map(parts.get('different'));
  state.label = whole(parts.get('label'), atlas.classes.length);
  state.text = parts.get('name') || '';
  state.like = whole(parts.get('like'), atlas.n);
  state.image = whole(parts.get('image'), atlas.n);
};
const go = (change, keep) => {
  Object.assign(state, change);
  history[keep ? 'replaceState' : 'pushState'](null, '', address());
  render();
};
const attributes = document.getElementById('attributes');

// The images that satisfy what is asked, in order.
const found = () => {
  const { n, S, codes, labels, sure } = atlas;
  const same = [...state.same], different = [...state.different];
  const text = state.text.toLowerCase();
  const out = [];
  next: for (let i = 0; i < n; ++i) {
    if (state.label >= 0 && labels[i] !== state.label) continue;
    for (const [s, u] of same) if (codes[i * S + s] !== u) continue next;
    for (const [s, u] of different) if (codes[i * S + s] === u) continue next;
    if (text && !atlas.name(i).toLowerCase().includes(text)) continue;
    out.push(i);
  }
  const score = new Float32Array(n);
  if (state.like >= 0) {
    for (const i of out) score[i] = i === state.like ? S + 1 : atlas.agree(i, state.like);
  } else if (same.length) {
    for (const i of out) for (const [s] of same) score[i] += sure[i * S + s];
  } else {
    return out;
  }
  return out.sort((i, j) => score[j] - score[i] || i - j);
};

const main = make('main', { id: 'view', tabindex: -1 });
const bar = make('div', { class: 'bar' });
const aside = make('aside', { 'aria-label': 'Image' });
const status_line = make('p', { class: 'note status', 'aria-live': 'polite' });

// A grid of any number of images, of which those near the window exist.
const grid = (() => {
  const inner = make('div', { class: 'grid', role: 'list' });
  const tiles = new Map(), spare = [];
  let images = [], columns = 1, cell = 80, at = 0;
  const place = () => {
    const height = main.clientHeight, first = Math.max(0, main.scrollTop - inner.offsetTop);
    const from = Math.max(0, Math.floor((first - height) / cell)) * columns;
    const to = Math.min(images.length, Math.ceil((first + 2 * height) / cell) * columns);
    for (const [k, tile] of tiles) if (k < from || k >= to) { tiles.delete(k); tile.remove(); spare.push(tile); }
    for (let k = from; k < to; ++k) {
      let tile = tiles.get(k);
      if (!tile) {
        tile = spare.pop() || make('button', { class: 'tile', type: 'button' });
        tiles.set(k, tile);
        inner.append(tile);
      }
      const i = images[k];
      if (tile.image !== i) {
        tile.image = i;
        sprites.show(tile, i);
        tile.title = atlas.name(i) + (atlas.label(i) ? '\n' + atlas.label(i) : '');
        tile.setAttribute('aria-label', tile.title);
      }
      tile.place = k;
      tile.tabIndex = k === at ? 0 : -1;
      tile.classList.toggle('open', i === state.image);
      tile.style.transform = 'translate(' + (k % columns) * cell + 'px,' + Math.floor(k / columns) * cell + 'px)';
      tile.style.width = tile.style.height = cell - 4 + 'px';
    }
    // Sheets of what comes next, in both directions.
    const far = Math.ceil(6 * height / cell) * columns;
    for (let k = Math.max(0, from - far); k < Math.min(images.length, to + far); k += 16) sprites.ahead(images[k]);
  };
  const layout = () => {
    const width = inner.clientWidth;
    if (!width) return;
    const keep = images.length ? Math.floor(Math.max(0, main.scrollTop - inner.offsetTop) / cell) * columns : 0;
    columns = Math.max(3, Math.floor(width / (state.size + 4)));
    cell = width / columns;
    inner.style.height = Math.ceil(images.length / columns) * cell + 'px';
    if (keep) main.scrollTop = inner.offsetTop + Math.floor(keep / columns) * cell;
    place();
  };
  const focus = k => {
    at = Math.max(0, Math.min(images.length - 1, k));
    const y = inner.offsetTop + Math.floor(at / columns) * cell;
    if (y < main.scrollTop) main.scrollTop = y;
    if (y + cell > main.scrollTop + main.clientHeight) main.scrollTop = y + cell - main.clientHeight;
    place();
    tiles.get(at)?.focus({ preventScroll: true });
  };
  main.addEventListener('scroll', () => { if (inner.isConnected) place(); }, { passive: true });
  new ResizeObserver(layout).observe(main);
  inner.addEventListener('click', e => {
    if (e.target.image === undefined) return;
    at = e.target.place;
    go({ image: e.target.image });
  });
  inner.addEventListener('keydown', e => {
    const rows = Math.max(1, Math.floor(main.clientHeight / cell));
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns,
                   PageDown: rows * columns, PageUp: -rows * columns,
                   Home: -images.length, End: images.length }[e.key];
    if (step) { e.preventDefault(); focus(at + step); }
  });
  return {
    inner, place, layout,
    show: list => {
      const same = list.length === images.length && list.every((i, k) => i === images[k]);
      images = list;
      if (!same) { at = 0; main.scrollTop = 0; for (const tile of tiles.values()) tile.image = -1; }
      layout();
      if (!same) place();
    },
  };
})();

const thumb = (i, extra, caption) => {
  const tile = make('button', { class: 'tile fixed' + (extra || ''), type: 'button',
    title: atlas.name(i) + (atlas.label(i) ? '\n' + atlas.label(i) : ''), onclick: () => go({ image: i }) });
  tile.setAttribute('aria-label', tile.title);
  sprites.show(tile, i);
  return caption == null ? tile : make('span', { class: 'captioned' }, tile, make('span', { class: 'note' }, caption));
};
)js";

}  // namespace music
