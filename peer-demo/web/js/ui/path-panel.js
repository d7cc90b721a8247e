// The connection details: for each of the others the path in words, both ends of it, and the last minute as a chart.

import { StatsChart } from '../stats-chart.js';
import { $, fromTemplate, setText } from './dom.js';

export class PathPanel {
  #cards = new Map(); // key of a link -> { node, chart }

  /** While the panel is closed nothing is drawn; the samples are kept by the link. */
  show(link) {
    if ($('path-panel').hidden) return;
    const { node, chart } = this.#cardOf(link);
    const { path } = link;
    node.dataset.relayed = String(Boolean(path?.relayed));
    setText(node.querySelector('.path-who'), link.name);
    setText(node.querySelector('.path-words'), link.connected && path ? path.words : 'connecting…');
    setText(node.querySelector('.end-remote-label'), link.name);
    setText(node.querySelector('.end-local'), path ? endWords(path.local) : '–');
    setText(node.querySelector('.end-remote'), path ? endWords(path.remote) : '–');
    chart.draw(link.rates.samples);
  }

  remove(link) {
    this.#cards.get(link.key)?.node.remove();
    this.#cards.delete(link.key);
    this.#showEmpty();
  }

  clear() {
    $('paths').replaceChildren();
    this.#cards.clear();
    this.#showEmpty();
  }

  #cardOf(link) {
    if (!this.#cards.has(link.key)) {
      const card = { node: fromTemplate('path-template'), chart: new StatsChart() };
      card.node.querySelector('.chart-box').append(card.chart.node);
      $('paths').append(card.node);
      this.#cards.set(link.key, card);
      this.#showEmpty();
    }
    return this.#cards.get(link.key);
  }

  #showEmpty() {
    $('paths-empty').hidden = this.#cards.size > 0;
  }
}

function endWords({ type, protocol, meaning }) {
  return `${type}${protocol && ` (${protocol})`}: ${meaning}`;
}
