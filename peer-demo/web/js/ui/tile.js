// One person on the stage: picture or initials, name, and, for the others, the path that the packets take.

import { fromTemplate, setText, showAvatar, showStream } from './dom.js';

export class Tile {
  node = fromTemplate('tile-template');
  #video = this.node.querySelector('video');
  #chip = this.node.querySelector('.path-chip');
  #status = this.node.querySelector('.tile-status');

  constructor({ self, onPath }) {
    this.node.classList.toggle('self', self);
    // Never our own voice back, and a muted video may start without a click.
    this.#video.muted = self;
    this.#chip.onclick = onPath;
  }

  /** picture: 'camera' | 'screen' | 'none'. */
  show({ name, stream, picture, muted, state, status }) {
    showStream(this.#video, stream);
    this.node.dataset.picture = picture;
    this.node.dataset.state = state ?? '';
    this.node.classList.toggle('muted', muted);
    this.node.setAttribute('aria-label', name);
    this.#video.setAttribute('aria-label', `Video: ${name}`);
    setText(this.node.querySelector('.tile-name span'), name);
    showAvatar(this.node.querySelector('.avatar'), name);
    this.#status.hidden = !status;
    setText(this.#status, status ?? '');
  }

  showPath(path) {
    this.#chip.hidden = !path;
    if (!path) return;
    this.#chip.dataset.relayed = String(path.relayed);
    setText(this.#chip.querySelector('.path-words'), path.words);
    this.#chip.title = `${path.local.type} to ${path.remote.type}. More…`;
  }

  speak(loud) {
    this.node.classList.toggle('speaking', loud);
  }

  /** Rejects when the browser wants a click before it plays sound. */
  async play() {
    if (this.#video.srcObject) await this.#video.play();
  }
}
