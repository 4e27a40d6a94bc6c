// Turns the pictures of the curves into charts that zoom: drag to zoom in, double
// click to zoom out, all charts together.
(function () {
  'use strict';
  const source = document.getElementById('curve-data');
  if (!source || typeof Dygraph === 'undefined') return;
  // Its legend writes style attributes, which the policy of the page forbids.
  Dygraph.PLUGINS = Dygraph.PLUGINS.filter(plugin => plugin !== Dygraph.Plugins.Legend);
  const data = JSON.parse(source.textContent);
  const settings = { axis: 'step', smoothing: 0, hidden: new Set(), log: new Set(), references: true };
  const dashes = { uniform: [2, 4], best: [8, 4], floor: [8, 3, 2, 3], second: [4, 3] };
  const axes = { step: 'step', epoch: 'epoch', minutes: 'min' };
  const charts = [];

  function color(run) {
    const name = run < 0 ? '--quiet' : '--series-' + (run % 12 + 1);
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function make(tag, parent, properties) {
    const element = Object.assign(document.createElement(tag), properties);
    parent.append(element);
    return element;
  }

  function xs(line) {
    return (line.step ? line : data.runs[line.run])[settings.axis];
  }

  // The extreme of each window of `half` values to either side; null is no value.
  function extremes(values, half, beats) {
    const out = [], queue = [];
    for (let i = 0, j = 0; i < values.length; ++i) {
      for (; j < values.length && j <= i + half; ++j) {
        if (values[j] === null) continue;
        while (queue.length && !beats(values[queue[queue.length - 1]], values[j])) queue.pop();
        queue.push(j);
      }
      while (queue.length && queue[0] < i - half) queue.shift();
      out.push(queue.length ? values[queue[0]] : NaN);
    }
    return out;
  }

  // [least, mean, greatest] over a window around each point.
  function smoothed(line) {
    const n = line.mean.length;
    const half = line.step ? 0 : Math.round(settings.smoothing / 200 * n);
    const low = extremes(line.low || line.mean, half, (a, b) => a < b);
    const high = extremes(line.high || line.mean, half, (a, b) => a > b);
    const sums = [0], counts = [0];
    line.mean.forEach((value, i) => {
      sums.push(sums[i] + (value === null ? 0 : value));
      counts.push(counts[i] + (value === null ? 0 : 1));
    });
    return line.mean.map((value, i) => {
      if (value === null) return [NaN, NaN, NaN];
      if (half === 0) return [low[i], value, high[i]];
      const begin = Math.max(0, i - half), end = Math.min(n, i + half + 1);
      return [low[i], (sums[end] - sums[begin]) / (counts[end] - counts[begin]), high[i]];
    });
  }

  // One row for every place where any line has a point.
  function rows(chart) {
    const table = new Map();
    chart.lines.forEach((line, i) => {
      const x = xs(line);
      line.shown = smoothed(line);
      line.shown.forEach((point, j) => {
        let row = table.get(x[j]);
        if (!row) {
          row = new Array(chart.lines.length + 1).fill(null);
          row[0] = x[j];
          table.set(x[j], row);
        }
        row[i + 1] = point;
      });
    });
    return [...table.values()].sort((a, b) => a[0] - b[0]);
  }

  const short = value => Number(value.toPrecision(5)).toString();

  // What each line is at x, each at its own nearest point.
  function tell(chart, x) {
    chart.readout.textContent = '';
    make('span', chart.readout, { textContent: axes[settings.axis] + ' ' + short(x) });
    for (const line of chart.lines) {
      if (settings.hidden.has(line.run) || (isReference(line) && !settings.references)) continue;
      const places = xs(line);
      let low = 0, high = places.length - 1;
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (places[middle] <= x) low = middle;
        else high = middle;
      }
      if (x > places[places.length - 1] * 1.01 + 1 && line.run >= 0) continue;
      const point = line.shown[x - places[low] < places[high] - x ? low : high];
      const several = line.run >= 0 && data.runs.length > 1;
      const name = [several ? data.runs[line.run].label : '', line.name].filter(Boolean).join(' ');
      const value = isNaN(point[1]) ? '–' : short(point[1]);
      const spread = point[0] < point[2] && settings.smoothing === 0
        ? ' (' + short(point[0]) + ' … ' + short(point[2]) + ')' : '';
      const text = (name ? name + ' ' : '') + value + spread;
      make('span', chart.readout,
        { textContent: text, className: line.run < 0 ? '' : 'series-' + (line.run % 12 + 1) });
    }
  }

  // One finger scrolls the page; two zoom.
  function interaction() {
    const model = Object.assign({}, Dygraph.defaultInteractionModel);
    for (const name of ['touchstart', 'touchmove', 'touchend']) {
      const original = model[name];
      model[name] = (event, g, context) => {
        if (event.touches.length > 1) original(event, g, context);
      };
    }
    return model;
  }

  function zoomTogether(from, least, greatest) {
    const all = !from.graph.isZoomed('x');
    for (const chart of charts)
      if (chart !== from)
        chart.graph.updateOptions({ dateWindow: all ? null : [least, greatest], valueRange: null });
  }

  const isReference = line => line.kind in { uniform: 1, best: 1, floor: 1 };

  function visible(chart) {
    return chart.lines.map(line =>
      !settings.hidden.has(line.run) && (settings.references || !isReference(line)));
  }

  function draw(chart) {
    const css = getComputedStyle(document.documentElement);
    const series = {};
    chart.lines.forEach((line, i) => {
      series['s' + i] = {
        strokePattern: dashes[line.kind] || null,
        strokeWidth: line.kind === 'value' ? 1.6 : 1.1,
        drawPoints: line.mean.length < 30 && chart.key === 'score',
        pointSize: 2.5
      };
    });
    if (chart.graph) chart.graph.destroy();
    chart.graph = new Dygraph(chart.box, rows(chart), {
      labels: ['x', ...chart.lines.map((line, i) => 's' + i)],
      colors: chart.lines.map(line => color(line.run)),
      series, visibility: visible(chart), customBars: true, connectSeparatedPoints: true,
      fillAlpha: 0.16, highlightCircleSize: 3,
      gridLineColor: css.getPropertyValue('--line').trim(),
      axisLineColor: css.getPropertyValue('--line').trim(),
      logscale: isLog(chart), xRangePad: 6, yRangePad: 8,
      axes: { x: { drawGrid: false }, y: { axisLabelWidth: 56 } },
      interactionModel: interaction(),
      highlightCallback: (event, x) => tell(chart, x),
      unhighlightCallback: () => { chart.readout.textContent = ''; },
      zoomCallback: (least, greatest) => zoomTogether(chart, least, greatest)
    });
  }

  function redraw() {
    for (const chart of charts) chart.graph.updateOptions({ file: rows(chart), dateWindow: null });
  }

  // With nothing to show there is no logarithm of its range.
  function isLog(chart) {
    return settings.log.has(chart.key) && visible(chart).some(Boolean);
  }

  function show() {
    for (const chart of charts)
      chart.graph.updateOptions({ visibility: visible(chart), logscale: isLog(chart) });
  }

  function addToolbar(bar) {
    const has = axis => data.runs.every(run => run[axis].some(x => x > 0));
    const label = make('label', bar, { textContent: 'over ' });
    const select = make('select', label, { id: 'axis' });
    for (const [value, text] of [['step', 'steps'], ['epoch', 'epochs'], ['minutes', 'minutes']])
      if (value === 'step' || has(value)) make('option', select, { value, textContent: text });
    select.addEventListener('change', () => { settings.axis = select.value; redraw(); });
    const smooth = make('label', bar, { textContent: 'smoothing ' });
    const slider = make('input', smooth, { id: 'smoothing', type: 'range', min: 0, max: 20, step: 1, value: 0 });
    slider.addEventListener('input', () => { settings.smoothing = Number(slider.value); redraw(); });
    if (data.charts.some(chart => chart.lines.some(isReference))) {
      const lines = make('label', bar, {});
      const box = make('input', lines, { id: 'references', type: 'checkbox', checked: true });
      lines.append(' lines to compare with');
      box.addEventListener('change', () => { settings.references = box.checked; show(); });
    }
    make('button', bar, { textContent: 'zoom out', type: 'button' })
      .addEventListener('click', () => charts.forEach(chart => chart.graph.resetZoom()));
    make('span', bar, { className: 'note', textContent: 'Drag over a chart to zoom.' });
  }

  function addSwitches() {
    document.querySelectorAll('.legend li').forEach((item, run) => {
      const label = document.createElement('label');
      const box = make('input', label, { type: 'checkbox', checked: true });
      label.append(' ', ...item.childNodes);
      item.append(label);
      box.addEventListener('change', () => {
        if (box.checked) settings.hidden.delete(run);
        else settings.hidden.add(run);
        show();
      });
    });
  }

  for (const chart of data.charts) {
    const figure = document.querySelector('.chart[data-chart="' + CSS.escape(chart.key) + '"]');
    if (!figure) continue;
    const plot = figure.querySelector('.plot');
    chart.box = document.createElement('div');
    chart.box.className = 'live';
    plot.prepend(chart.box);
    chart.readout = make('div', figure, { className: 'readout' });
    if (chart.log) {
      const button = make('button', figure.querySelector('figcaption'),
        { className: 'log', type: 'button', textContent: 'log', title: 'logarithmic axis' });
      button.setAttribute('aria-pressed', 'false');
      button.addEventListener('click', () => {
        const on = !settings.log.has(chart.key);
        if (on) settings.log.add(chart.key);
        else settings.log.delete(chart.key);
        button.setAttribute('aria-pressed', String(on));
        show();
      });
    }
    charts.push(chart);
    draw(chart);
  }
  const bar = document.querySelector('.toolbar');
  if (bar && charts.length) addToolbar(bar);
  if (data.runs.length > 1) addSwitches();
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => charts.forEach(draw));
  document.documentElement.dataset.charts = String(charts.length);
}());
