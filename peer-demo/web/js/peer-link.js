// The connection to one other person: an RTCPeerConnection that negotiates with itself on the other side, repairs
// itself, and can be handed over to a new peer id when the server has forgotten the old one. Owned by Call.
//
// What goes through signalling as `data`: { pc, to, description } and { pc, to, candidate }. `pc` is a random name of
// the sender's RTCPeerConnection and `to` the last one that it knows of the receiver's: a peer that starts over is
// recognised by them, and what was meant for a connection that is gone does no harm. Both may be left out.
//
// Events: state (see `state`), tracks, message (an object from the data channel), channel (open).

import { Emitter } from './emitter.js';
import { token } from './random.js';

const DISCONNECTED_MS = 2_000; // RFC 7675 has consent expire after 30 s; a person hangs up long before
const POLITE_EXTRA_MS = 1_200; // so that one side restarts, not both at once
const FIRST_OFFER_WITHIN_MS = 5_000;
const RESTART_CHECKS_MS = [5_000, 6_000, 8_000, 10_000, 15_000];
const REBUILD_AFTER = 3; // restarts of ICE in vain, before the connection is made anew
const FAREWELL_MS = 150;
const MOST_QUEUED = 256;
const MOST_BUFFERED = 1 << 20; // bytes in the data channel
const MOST_MESSAGE = 16_384; // characters of a message on the data channel

export class PeerLink extends Emitter {
  state = 'connecting'; // 'connecting' | 'connected' | 'reconnecting' | 'closed'
  orphanedAt = 0; // when the server said that this peer's session is gone; 0: it is there
  stream = new MediaStream();

  #send;
  #config;
  #local; // { audio, video, stream }: what we send, may be null
  #maxBitrate = 0;
  #pc = null;
  #pcName = '';
  #generation = 0;
  #theirPc = null;
  #channel = null;
  #slots = {}; // kind -> the one transceiver of that kind
  #mayOffer = false;
  #makingOffer = false;
  #ignoringOffer = false;
  #queue = Promise.resolve();
  #queued = 0;
  #restarting = false;
  #restarts = 0;
  #timers = new Map();

  /**
   * send(data): to the peer, by way of signalling. config(fresh): a promise of the RTCConfiguration, with new
   * credentials if `fresh`. `initiator`: this side makes the first offer.
   */
  constructor({ peer, name, polite, initiator, send, config, local }) {
    super();
    Object.assign(this, { peer, name, polite });
    this.#send = send;
    this.#config = config;
    this.#local = local;
    this.ready = this.#open(initiator);
  }

  get connected() {
    return this.state === 'connected';
  }

  /** Data of a `signal` message, one at a time and in order. */
  receive(data) {
    if (this.#queued >= MOST_QUEUED || typeof data !== 'object' || data === null) return;
    this.#queued += 1;
    this.#queue = this.#queue
      .then(() => this.ready)
      .then(() => this.#process(data))
      .catch(() => this.#scheduleRestart(0)) // a description that does not fit: negotiate anew
      .finally(() => { this.#queued -= 1; });
  }

  /** The same person under a new peer id: the server lost the session, the media goes on. */
  rebind({ peer, name, polite }) {
    Object.assign(this, { peer, name, polite, orphanedAt: 0 });
    // Whatever was under way went to the old id.
    if (!this.connected || this.#pc?.signalingState !== 'stable') this.#scheduleRestart(polite ? POLITE_EXTRA_MS : 0);
  }

  /** The peer's session is gone: nothing can be negotiated until it comes back or is given up. */
  orphan(now) {
    if (!this.orphanedAt) this.orphanedAt = now;
  }

  /** New credentials and new candidates, on the same connection: the network or the wish for the relay has changed. */
  async restart() {
    this.#stopTimer('restart');
    if (this.#restarting || this.state === 'closed' || this.orphanedAt) return;
    this.#restarting = true;
    try {
      const config = await this.#config(true);
      const pc = this.#pc;
      if (!pc || this.state === 'closed') return;
      if (pc.signalingState === 'have-local-offer') await pc.setLocalDescription({ type: 'rollback' });
      pc.setConfiguration(config);
      this.#restarts += 1;
      this.#allowOffers();
      pc.restartIce();
    } catch {
      // The connection was replaced meanwhile; #watch looks at the one that is there now.
    } finally {
      this.#restarting = false;
      this.#watch();
    }
  }

  /** A new RTCPeerConnection, here and, by our offer, on the other side. */
  async renew() {
    await this.#rebuild(true);
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

  stats() {
    return this.#pc?.getStats() ?? Promise.resolve(null);
  }

  close() {
    if (this.state === 'closed') return;
    const told = this.tell({ type: 'bye' });
    this.#setState('closed');
    this.silence();
    // The farewell needs a moment; without it the others would wait for us as for a lost connection.
    if (told) this.#startTimer('close', FAREWELL_MS, () => this.#dismantle());
    else this.#dismantle();
  }

  async #open(initiator) {
    this.#generation += 1;
    const generation = this.#generation;
    const config = await this.#config(false);
    if (this.state === 'closed' || generation !== this.#generation) return;
    const pc = new RTCPeerConnection(config);
    this.#pc = pc;
    this.#pcName = token(6);
    this.#theirPc = null;
    this.#mayOffer = false;
    this.#listen(pc);
    if (initiator) this.#allowOffers();
    else this.#startTimer('first-offer', FIRST_OFFER_WITHIN_MS, () => this.#allowOffers());
    this.#watch();
  }

  #listen(pc) {
    pc.onnegotiationneeded = () => this.#negotiate();
    pc.onicecandidate = ({ candidate }) => {
      if (candidate?.candidate) this.#signal({ candidate: candidate.toJSON() });
    };
    pc.oniceconnectionstatechange = () => this.#iceChanged(pc);
    pc.ontrack = ({ track }) => this.#addTrack(track);
    // Negotiated on both sides alike: one channel, whoever offers first.
    this.#channel = pc.createDataChannel('viaduct', { negotiated: true, id: 0 });
    this.#channel.onopen = () => this.emit('channel');
    this.#channel.onmessage = ({ data }) => this.#hear(data);
  }

  #dismantle() {
    for (const name of [...this.#timers.keys()]) this.#stopTimer(name);
    const pc = this.#pc;
    this.#pc = null;
    this.#slots = {};
    if (!pc) return;
    pc.onnegotiationneeded = pc.onicecandidate = pc.oniceconnectionstatechange = pc.ontrack = null;
    this.#channel.onopen = this.#channel.onmessage = null;
    pc.close();
    for (const track of this.stream.getTracks()) this.stream.removeTrack(track);
  }

  async #rebuild(initiator) {
    this.#dismantle();
    this.#setState('reconnecting');
    this.ready = this.#open(initiator);
    await this.ready;
  }

  // --- negotiation: the "perfect negotiation" of the WebRTC specification, §10.7 ---

  /** The newcomer offers first and the others wait for it, which spares every call a collision. */
  #allowOffers() {
    if (this.#mayOffer || !this.#pc) return;
    this.#mayOffer = true;
    this.#stopTimer('first-offer');
    this.#addMissingSlots();
    this.#negotiate();
  }

  async #negotiate() {
    const pc = this.#pc;
    if (!this.#mayOffer || this.#makingOffer || pc?.signalingState !== 'stable') return;
    try {
      this.#makingOffer = true;
      await pc.setLocalDescription();
      this.#signal({ description: pc.localDescription.toJSON() });
    } catch {
      if (pc === this.#pc) this.#scheduleRestart(DISCONNECTED_MS);
    } finally {
      this.#makingOffer = false;
    }
  }

  async #process({ pc: theirPc, to, description, candidate }) {
    if (this.state === 'closed') return;
    if (to && to !== this.#pcName) {
      // Meant for a connection that we no longer have. If ours is still untouched, offer it.
      this.#allowOffers();
      return;
    }
    const startsOver = theirPc && this.#theirPc && theirPc !== this.#theirPc;
    if (startsOver && description?.type !== 'offer') return;
    if (startsOver) await this.#rebuild(false);
    if (description) await this.#applyDescription(description, theirPc);
    else if (candidate) await this.#applyCandidate(candidate);
  }

  async #applyDescription(description, theirPc) {
    const pc = this.#pc;
    const isOffer = description.type === 'offer';
    const collision = isOffer && (this.#makingOffer || pc.signalingState !== 'stable');
    this.#ignoringOffer = !this.polite && collision;
    if (this.#ignoringOffer) return;
    if (!isOffer && pc.signalingState !== 'have-local-offer') return; // the answer to an offer that was taken back
    await pc.setRemoteDescription(description); // takes back our own offer if there is one
    this.#theirPc = theirPc ?? null;
    if (!isOffer) return;
    await this.#adoptSlots();
    await pc.setLocalDescription();
    this.#signal({ description: pc.localDescription.toJSON() });
    this.#mayOffer = true;
    this.#stopTimer('first-offer');
    this.#addMissingSlots(); // asks for an offer of our own only if theirs left something out
  }

  async #applyCandidate(candidate) {
    try {
      await this.#pc.addIceCandidate(candidate);
    } catch {
      // It belongs to a description that was ignored, taken back or replaced; the valid ones come with their own.
    }
  }

  #signal(data) {
    this.#send({ pc: this.#pcName, ...(this.#theirPc && { to: this.#theirPc }), ...data });
  }

  // --- media: one transceiver for sound and one for pictures, whatever is sent through them ---

  #addMissingSlots() {
    for (const kind of ['audio', 'video']) {
      if (this.#slots[kind]) continue;
      const transceiver = this.#pc.addTransceiver(kind, { direction: 'sendrecv', streams: [this.#local.stream] });
      this.#slots[kind] = transceiver;
      replaceTrack(transceiver, this.#local[kind]);
    }
    this.#limitVideo();
  }

  /** Takes the transceivers that an offer brought; one of our own that was never negotiated makes way. */
  async #adoptSlots() {
    for (const kind of ['audio', 'video']) {
      const offered = this.#pc.getTransceivers().find((transceiver) => transceiver.mid !== null
        && transceiver.receiver.track.kind === kind && transceiver.currentDirection !== 'stopped');
      const own = this.#slots[kind];
      if (!offered || offered === own) continue;
      if (own?.mid === null) own.stop();
      this.#slots[kind] = offered;
      offered.direction = 'sendrecv';
      offered.sender.setStreams?.(this.#local.stream);
      await replaceTrack(offered, this.#local[kind]);
    }
    await this.#limitVideo();
  }

  #addTrack(track) {
    for (const old of this.stream.getTracks()) if (old.kind === track.kind) this.stream.removeTrack(old);
    this.stream.addTrack(track);
    track.onmute = track.onunmute = () => this.emit('tracks');
    this.emit('tracks');
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

  // --- repair ---

  #iceChanged(pc) {
    switch (pc.iceConnectionState) {
      case 'connected':
      case 'completed':
        this.#restarts = 0;
        this.#stopTimer('restart');
        this.#stopTimer('watch');
        this.#setState('connected');
        break;
      case 'disconnected':
        this.#setState('reconnecting');
        this.#scheduleRestart(DISCONNECTED_MS + (this.polite ? POLITE_EXTRA_MS : 0));
        break;
      case 'failed':
        this.#setState('reconnecting');
        this.#scheduleRestart(this.polite ? POLITE_EXTRA_MS : 0);
        break;
      default: // new, checking, closed: #watch sees to a start that takes too long
    }
  }

  #scheduleRestart(ms) {
    if (this.state === 'closed' || this.#timers.has('restart')) return;
    this.#startTimer('restart', ms, () => this.restart());
  }

  /** Looks later whether the connection stands, and starts over with more force if it does not. */
  #watch() {
    if (this.state === 'closed') return;
    const wait = RESTART_CHECKS_MS[Math.min(this.#restarts, RESTART_CHECKS_MS.length - 1)];
    this.#startTimer('watch', wait + (this.polite ? POLITE_EXTRA_MS : 0), () => {
      const settled = ['connected', 'completed'].includes(this.#pc?.iceConnectionState);
      if (settled && this.#pc.signalingState === 'stable') {
        this.#restarts = 0;
        return;
      }
      if (this.orphanedAt) return this.#watch();
      if (this.#restarts < REBUILD_AFTER) return this.restart();
      this.#restarts = 0;
      this.renew();
    });
  }

  #setState(state) {
    if (this.state === state || this.state === 'closed') return;
    this.state = state;
    this.emit('state', state);
  }

  #startTimer(name, ms, action) {
    this.#stopTimer(name);
    this.#timers.set(name, setTimeout(() => {
      this.#timers.delete(name);
      action();
    }, ms));
  }

  #stopTimer(name) {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }
}

/** Refused only when the connection was closed or replaced meanwhile: the new one takes its tracks from the media. */
async function replaceTrack(transceiver, track) {
  await transceiver?.sender.replaceTrack(track).catch(() => {});
}
