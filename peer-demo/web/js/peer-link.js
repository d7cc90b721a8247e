// What this page does with the connection to one other person: sound and pictures through one transceiver each, and a data
// channel between the pages. The connection itself is the client's (a peer of its call in viaduct.js), which negotiates it, repairs
// it, and makes it anew; then it is attached here again. Owned by Call.
//
// Events: tracks, message (an object from the data channel), channel (open).

import { Emitter } from './emitter.js';

const MOST_BUFFERED = 1 << 20; // bytes in the data channel
const MOST_MESSAGE = 16_384; // characters of a message on the data channel
const MOST_NAME = 40;

export class PeerLink extends Emitter {
  stream = new MediaStream();

  #peer;
  #local; // { audio, video, stream }: what we send, may be null
  #maxBitrate = 0;
  #connection = null;
  #channel = null;
  #slots = {}; // kind -> the one transceiver of that kind

  constructor({ peer, local }) {
    super();
    this.#peer = peer;
    this.#local = local;
  }

  get id() {
    return this.#peer.peer;
  }

  get name() {
    const { name } = this.#peer;
    return (typeof name === 'string' ? name.trim().slice(0, MOST_NAME) : '') || 'Guest';
  }

  get state() {
    return this.#peer.state;
  }

  get connected() {
    return this.state === 'connected';
  }

  get isLost() {
    return this.#peer.isLost;
  }

  /** A connection on which nothing was said yet. Whoever does not offer first waits for what the offer brings. */
  attach(connection, offersFirst) {
    for (const track of this.stream.getTracks()) this.stream.removeTrack(track);
    this.#connection = connection;
    this.#slots = {};
    // Negotiated on both sides alike: one channel, whoever offers first.
    const channel = connection.createDataChannel('viaduct', { negotiated: true, id: 0 });
    this.#channel = channel;
    channel.onopen = () => channel === this.#channel && this.emit('channel');
    channel.onmessage = ({ data }) => channel === this.#channel && this.#hear(data);
    connection.addEventListener('signalingstatechange', () => {
      if (connection === this.#connection && connection.signalingState === 'stable') this.#addMissingSlots();
    });
    if (offersFirst) this.#addMissingSlots();
  }

  /** What an offer or an answer has brought, before it is answered. */
  take({ track, transceiver }) {
    this.#adoptSlot(transceiver);
    for (const old of this.stream.getTracks()) if (old.kind === track.kind) this.stream.removeTrack(old);
    this.stream.addTrack(track);
    track.onmute = track.onunmute = () => this.emit('tracks');
    this.emit('tracks');
  }

  restart() {
    return this.#peer.restart();
  }

  renew() {
    return this.#peer.renew();
  }

  async setTrack(kind, track) {
    await replaceTrack(this.#slots[kind], track);
    if (kind === 'video') await this.#limitVideo();
  }

  async setMaxBitrate(bitsPerSecond) {
    this.#maxBitrate = bitsPerSecond;
    await this.#limitVideo();
  }

  /** An object to the other page, as JSON. False when it cannot go out now. */
  tell(message) {
    const channel = this.#channel;
    if (channel?.readyState !== 'open' || channel.bufferedAmount > MOST_BUFFERED) return false;
    channel.send(JSON.stringify(message));
    return true;
  }

  /** Without it the others would wait for us as for a lost connection. */
  sayGoodbye() {
    this.tell({ type: 'bye' });
  }

  stats() {
    const connection = this.#peer.connection;
    return connection ? connection.getStats() : Promise.resolve(null);
  }

  // --- media: one transceiver for sound and one for pictures, whatever is sent through them ---

  #addMissingSlots() {
    for (const kind of ['audio', 'video']) {
      if (this.#slots[kind]) continue;
      const transceiver = this.#connection.addTransceiver(kind, { direction: 'sendrecv', streams: [this.#local.stream] });
      this.#slots[kind] = transceiver;
      replaceTrack(transceiver, this.#local[kind]);
    }
    this.#limitVideo();
  }

  /** Takes a transceiver that an offer brought; one of our own that was never negotiated makes way. */
  #adoptSlot(offered) {
    const { kind } = offered.receiver.track, own = this.#slots[kind];
    if (offered === own || (own && own.mid !== null)) return;
    own?.stop();
    this.#slots[kind] = offered;
    offered.direction = 'sendrecv';
    offered.sender.setStreams?.(this.#local.stream);
    replaceTrack(offered, this.#local[kind]);
  }

  async #limitVideo() {
    const sender = this.#slots.video?.sender;
    if (!sender || !this.#maxBitrate) return;
    const parameters = sender.getParameters();
    if (!parameters.encodings?.length) return;
    for (const encoding of parameters.encodings) encoding.maxBitrate = this.#maxBitrate;
    // Refused while a negotiation is half done; the next change of track or of people sets it again.
    await sender.setParameters(parameters).catch(() => {});
  }

  #hear(text) {
    if (typeof text !== 'string' || text.length > MOST_MESSAGE) return;
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return; // another program's; ours sends JSON
    }
    if (typeof message?.type === 'string') this.emit('message', message);
  }
}

/** Refused only when the connection was closed or replaced meanwhile: the new one takes its tracks from the media. */
async function replaceTrack(transceiver, track) {
  await transceiver?.sender.replaceTrack(track).catch(() => {});
}
