// Messages on their way to the server that nobody has confirmed yet. Each has an `id`; the server answers `delivered`
// once it is in the receiver's outbox and never delivers the same id twice, so after a lost connection everything that
// is left here is simply sent again, in order.

const MOST = 512;

export class Outbound {
  #messages = new Map();
  #nextId = 1;

  /** Gives `message` an id and keeps it. Bounded: past the limit the oldest one goes, as the call can repair itself. */
  add(message) {
    const id = String(this.#nextId++);
    const numbered = { ...message, id };
    this.#messages.set(id, numbered);
    if (this.#messages.size > MOST) this.#messages.delete(this.#messages.keys().next().value);
    return numbered;
  }

  settle(id) {
    this.#messages.delete(id);
  }

  clear() {
    this.#messages.clear();
  }

  [Symbol.iterator]() {
    return [...this.#messages.values()][Symbol.iterator]();
  }
}
