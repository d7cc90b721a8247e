// "Trying again in 4 s": words that change each second while the page waits for the server.

export class Countdown {
  #timer = 0;

  /** Calls `show(seconds)` now and each second until `at` (milliseconds, as Date.now()) or `stop`. */
  start(at, show) {
    this.stop();
    const tick = () => {
      const left = Math.ceil((at - Date.now()) / 1000);
      show(Math.max(0, left));
      if (left <= 0) this.stop();
    };
    this.#timer = setInterval(tick, 1000);
    tick();
  }

  stop() {
    clearInterval(this.#timer);
  }
}

export function waitingWords(seconds) {
  return seconds > 0 ? `Trying again in ${seconds} s.` : 'Trying again…';
}
