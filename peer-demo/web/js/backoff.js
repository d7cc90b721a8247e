// How long to wait before the next try. Half of each delay is random, so that a thousand pages whose server
// restarts do not come back in the same instant.

const FIRST_MS = 400;
const LONGEST_MS = 10_000;

export class Backoff {
  #tries = 0;

  next() {
    const ceiling = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(this.#tries, 10));
    this.#tries += 1;
    return Math.round(ceiling / 2 + Math.random() * (ceiling / 2));
  }

  reset() {
    this.#tries = 0;
  }
}
