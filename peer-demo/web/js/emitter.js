// A few lines of publish and subscribe, the base of the classes that report events (Signalling, Call, PeerLink).

export class Emitter {
  #handlers = new Map();

  /** Calls `handler(value)` on each `type` event; returns a function that ends it. */
  on(type, handler) {
    if (!this.#handlers.has(type)) this.#handlers.set(type, new Set());
    this.#handlers.get(type).add(handler);
    return () => this.#handlers.get(type)?.delete(handler);
  }

  emit(type, value) {
    for (const handler of [...(this.#handlers.get(type) ?? [])]) handler(value);
  }

  /** Forgets every handler: the owner is done, and late callbacks of the browser reach nobody. */
  silence() {
    this.#handlers.clear();
  }
}
