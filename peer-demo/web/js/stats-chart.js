// A small chart of the last minute of one connection, drawn as SVG: bitrates above, round-trip time and loss below.

const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 300; // units of the viewBox; the browser stretches them to the place that there is
const SPAN_MS = 60_000;

export class StatsChart {
  node = document.createElement('div');
  #rates = plot('bitrate', 64);
  #delay = plot('delay', 32);
  #values = {};

  constructor() {
    this.node.append(
      this.#legend({ down: 'Down', up: 'Up' }), this.#rates,
      this.#legend({ rtt: 'Round trip', loss: 'Loss' }), this.#delay,
    );
  }

  draw(samples) {
    const latest = samples.at(-1);
    if (!latest) return;
    this.#say({
      down: bitrateWords(latest.down),
      up: bitrateWords(latest.up),
      rtt: latest.rtt === null ? '–' : `${latest.rtt < 10 ? latest.rtt.toFixed(1) : Math.round(latest.rtt)} ms`,
      loss: latest.loss === null ? '–' : `${(latest.loss * 100).toFixed(1)} %`,
    });
    const top = Math.max(64_000, ...samples.map(({ up, down }) => Math.max(up, down))) * 1.1;
    this.#rates.replaceChildren(
      gridLine(63.5),
      ...curve(samples, ({ down }) => down / top, 64, 'down', true),
      ...curve(samples, ({ up }) => up / top, 64, 'up', false),
    );
    const slowest = Math.max(20, ...samples.map(({ rtt }) => rtt ?? 0)) * 1.15;
    this.#delay.replaceChildren(
      gridLine(31.5),
      ...lossBars(samples, 32),
      ...curve(samples.filter(({ rtt }) => rtt !== null), ({ rtt }) => rtt / slowest, 32, 'rtt', false),
    );
  }

  #legend(names) {
    const line = document.createElement('p');
    line.className = 'chart-legend';
    for (const [key, name] of Object.entries(names)) {
      const entry = document.createElement('span');
      const mark = document.createElement('i');
      mark.className = `key ${key}`;
      this.#values[key] = document.createElement('b');
      entry.append(mark, `${name} `, this.#values[key]);
      line.append(entry);
    }
    return line;
  }

  #say(words) {
    for (const [key, text] of Object.entries(words)) this.#values[key].textContent = text;
    this.#rates.setAttribute('aria-label', `Bitrate in the last minute; now ${words.down} down, ${words.up} up`);
    this.#delay.setAttribute('aria-label', `Round trip and loss in the last minute; now ${words.rtt}, ${words.loss} lost`);
  }
}

function plot(className, height) {
  const svg = svgElement('svg', { class: `chart ${className}`, viewBox: `0 0 ${WIDTH} ${height}`, preserveAspectRatio: 'none', role: 'img' });
  svg.append(gridLine(height - 0.5));
  return svg;
}

/** The right edge is now. `share` gives a sample's height, from 0 to 1. */
function curve(samples, share, height, className, filled) {
  if (samples.length < 2) return [];
  const points = samples.map((sample) => `${xOf(sample, samples)},${(height - 1 - share(sample) * (height - 3)).toFixed(1)}`);
  const line = svgElement('polyline', { class: `line ${className}`, points: points.join(' ') });
  if (!filled) return [line];
  const [first, last] = [xOf(samples[0], samples), xOf(samples.at(-1), samples)];
  const area = svgElement('polygon', { class: `area ${className}`, points: `${first},${height} ${points.join(' ')} ${last},${height}` });
  return [area, line];
}

/** A bar for each second that lost something: full height at 10 % or more. */
function lossBars(samples, height) {
  return samples.filter(({ loss }) => loss > 0).map((sample) => {
    const tall = Math.max(2, Math.min(1, sample.loss / 0.1) * height);
    return svgElement('rect', { class: 'bar loss', x: xOf(sample, samples) - 3, y: height - tall, width: 3, height: tall });
  });
}

function xOf({ at }, samples) {
  return (WIDTH - ((samples.at(-1).at - at) / SPAN_MS) * WIDTH).toFixed(1);
}

function gridLine(y) {
  return svgElement('line', { class: 'grid', x1: 0, x2: WIDTH, y1: y, y2: y });
}

function svgElement(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function bitrateWords(bitsPerSecond) {
  const kilobits = bitsPerSecond / 1000;
  return kilobits >= 1000 ? `${(kilobits / 1000).toFixed(1)} Mbit/s` : `${Math.round(kilobits)} kbit/s`;
}
