// The client of the Viaduct signalling protocol, version 1, over WebSocket. It knows nothing of WebRTC or of the page.
//
//   const signalling = new Signalling({ url: 'wss://example.org/v1/ws' });
//   signalling.on('joined', ({ room, peers }) => …);
//   signalling.connect();
//   signalling.join('blue-heron', { name: 'Ada' });
//
// It keeps one session alive for as long as it can: a lost connection is resumed, and when the server no longer knows
// the session (it was restarted), a new one is opened and the rooms are joined again.
//
// Events: each message of the server under its type (`joined`, `peer-joined`, `peer-left`, `signal`, `broadcast`,
// `error`, `drain`, …), and
//   state    { state: 'connecting' | 'open' | 'waiting' | 'closed', retryAt? }   (retryAt: milliseconds, as Date.now())
//   session  { peer, fresh }   a session is open; `fresh` is false when it was resumed

import { Backoff } from './backoff.js';
import { Emitter } from './emitter.js';
import { Outbound } from './outbound.js';

const SUBPROTOCOL = 'viaduct.v1';
const WELCOME_WITHIN_MS = 8_000;
const PING_EVERY_MS = 15_000;
const PONG_WITHIN_MS = 8_000;
const ACK_AFTER_MS = 250;
const ACK_EVERY = 32;
const ICE_WITHIN_MS = 4_000;

/** Errors after which trying again by itself would not help: the page has to change something. */
const FINAL_ERRORS = new Set(['unauthorized', 'forbidden']);

export class Signalling extends Emitter {
  #url;
  #token;
  #socket = null;
  #state = 'closed';
  #session = null; // { session, key } of the last welcome: what a resume needs
  #lastSeq = 0;
  #unacked = 0;
  #rooms = new Map(); // room -> { name, meta, confirmed }
  #outbound = new Outbound();
  #backoff = new Backoff();
  #timers = new Map();
  #ice = { iceServers: [], iceTtl: 0, at: 0 }; // seconds, and when they came
  #iceWaiters = [];
  #minimumWait = 0;

  constructor({ url, token }) {
    super();
    this.#url = url;
    this.#token = token;
  }

  get state() {
    return this.#state;
  }

  connect() {
    if (this.#socket) return;
    this.#stopTimer('retry');
    this.#setState('connecting');
    const socket = new WebSocket(this.#url, SUBPROTOCOL);
    this.#socket = socket;
    socket.onopen = () => this.#hello(socket);
    socket.onmessage = (event) => {
      if (socket === this.#socket) this.#receive(event.data);
    };
    socket.onclose = (event) => {
      if (socket === this.#socket) this.#lost(event.code);
    };
    this.#startTimer('welcome', WELCOME_WITHIN_MS, () => this.#abandon());
  }

  /** For a "try now" button, and for when the network is back: does not wait for the countdown. */
  retryNow() {
    if (this.#state !== 'waiting') return;
    this.#backoff.reset();
    this.connect();
  }

  /** Asks for a sign of life; a connection that gives none in time is replaced. */
  probe() {
    if (this.#state !== 'open') return this.retryNow();
    this.#send({ type: 'ping', t: Date.now() });
    this.#startTimer('pong', PONG_WITHIN_MS, () => this.#abandon());
  }

  join(room, { name, meta } = {}) {
    this.#rooms.set(room, { name, meta, confirmed: false });
    if (this.#state === 'open') this.#send({ type: 'join', room, name, meta });
  }

  leave(room) {
    this.#rooms.delete(room);
    if (this.#state === 'open') this.#send({ type: 'leave', room });
  }

  /** To one member. Kept until the server confirms it, so it survives a lost connection. */
  signal(room, to, data) {
    this.#sendReliably({ type: 'signal', room, to, data });
  }

  /** To all other members, as reliably. */
  broadcast(room, data) {
    this.#sendReliably({ type: 'broadcast', room, data });
  }

  /**
   * A promise of the `iceServers`: those we have, unless they are half spent or `fresh` ones are asked for. When the
   * server does not answer in time, the last known ones.
   */
  iceServers({ fresh = false } = {}) {
    const halfSpent = Date.now() > this.#ice.at + this.#ice.iceTtl * 500;
    if (this.#state !== 'open' || !(fresh || halfSpent)) return Promise.resolve(this.#ice.iceServers);
    return new Promise((resolve) => {
      this.#iceWaiters.push(resolve);
      if (this.#iceWaiters.length > 1) return; // one question answers all
      this.#send({ type: 'ice' });
      this.#startTimer('ice', ICE_WITHIN_MS, () => this.#answerIceWaiters());
    });
  }

  /** Ends the session. */
  close() {
    if (this.#state === 'open') this.#send({ type: 'bye' });
    const socket = this.#socket;
    this.#socket = null;
    this.#session = null;
    this.#rooms.clear();
    this.#outbound.clear();
    for (const name of [...this.#timers.keys()]) this.#stopTimer(name);
    socket?.close(1000);
    this.#answerIceWaiters();
    this.#setState('closed');
  }

  #hello(socket) {
    if (socket !== this.#socket) return;
    const resume = this.#session && { ...this.#session, after: this.#lastSeq };
    this.#send({ type: 'hello', token: this.#token, client: 'viaduct-web/1', ...(resume && { resume }) });
  }

  #receive(text) {
    const message = parse(text);
    if (!message) return;
    this.#startTimer('ping', PING_EVERY_MS, () => this.probe());
    this.#stopTimer('pong');
    if (message.type === 'welcome') return this.#welcome(message);
    if (Number.isInteger(message.seq) && !this.#accept(message.seq)) return;
    this.#handle(message);
    this.emit(message.type, message);
  }

  /** The outbox counts without gaps: what was seen already is dropped, and a gap means that we must resume. */
  #accept(seq) {
    if (seq <= this.#lastSeq) return false;
    if (seq > this.#lastSeq + 1) {
      this.#abandon();
      return false;
    }
    this.#lastSeq = seq;
    this.#unacked += 1;
    if (this.#unacked >= ACK_EVERY) this.#ack();
    else if (!this.#timers.has('ack')) this.#startTimer('ack', ACK_AFTER_MS, () => this.#ack());
    return true;
  }

  #ack() {
    this.#stopTimer('ack');
    if (this.#state !== 'open') return;
    this.#unacked = 0;
    this.#send({ type: 'ack', seq: this.#lastSeq });
  }

  #welcome(message) {
    const fresh = !message.resumed;
    this.#stopTimer('welcome');
    this.#session = { session: message.session, key: message.key };
    this.#keepIce(message);
    this.#backoff.reset();
    if (fresh) {
      this.#lastSeq = 0;
      this.#outbound.clear(); // it names peers by ids that went with the old session
    }
    this.#setState('open');
    this.emit('session', { peer: message.peer, fresh });
    if (fresh) for (const entry of this.#rooms.values()) entry.confirmed = false;
    this.#sendUnconfirmed();
  }

  #sendUnconfirmed() {
    if (this.#state !== 'open') return;
    for (const [room, { name, meta, confirmed }] of this.#rooms) {
      if (!confirmed) this.#send({ type: 'join', room, name, meta });
    }
    for (const pending of this.#outbound) this.#send(pending);
  }

  #handle(message) {
    switch (message.type) {
      case 'joined':
        if (this.#rooms.has(message.room)) this.#rooms.get(message.room).confirmed = true;
        break;
      case 'delivered':
        this.#outbound.settle(message.id);
        break;
      case 'ice-servers':
        this.#keepIce(message);
        this.#answerIceWaiters();
        break;
      case 'redirect':
      case 'drain':
        if (isWebSocketUrl(message.url)) this.#url = message.url;
        this.#abandon();
        break;
      case 'error':
        this.#handleError(message);
        break;
      default: // the owner's, through its event
    }
  }

  #handleError({ code, id, retryAfter }) {
    if (code === 'rate-limited') {
      // Nothing is given up: when the server says that we may, all that it has not confirmed goes out again.
      this.#startTimer('resend', 1_000 * (retryAfter || 1), () => this.#sendUnconfirmed());
      return;
    }
    if (id) this.#outbound.settle(id);
    if (code === 'session-gone' || code === 'outbox-overflow') this.#startAfresh();
    if (FINAL_ERRORS.has(code) && this.#state === 'connecting') this.close();
    if (retryAfter) this.#minimumWait = Math.min(60_000, 1_000 * retryAfter);
  }

  /** The server has forgotten the session: a new one, at once. Members keep their calls; see Call. */
  #startAfresh() {
    this.#session = null;
    this.#detachSocket();
    this.connect();
  }

  /** Gives up on a connection that may be dead. `close` alone can take a minute to say so. */
  #abandon() {
    this.#detachSocket();
    this.#lost(1006);
  }

  #detachSocket() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    for (const name of ['welcome', 'pong', 'ping', 'ack', 'resend']) this.#stopTimer(name);
  }

  #lost(code) {
    this.#detachSocket();
    if (this.#state === 'closed') return;
    if (code === 4001 || code === 4002) this.#session = null; // taken over, or ended for a full outbox
    this.#answerIceWaiters();
    const wait = Math.max(this.#backoff.next(), this.#minimumWait);
    this.#minimumWait = 0;
    this.#startTimer('retry', wait, () => this.connect());
    this.#setState('waiting', Date.now() + wait);
  }

  #keepIce({ iceServers = [], iceTtl = 0 }) {
    this.#ice = { iceServers, iceTtl, at: Date.now() };
  }

  #answerIceWaiters() {
    this.#stopTimer('ice');
    for (const resolve of this.#iceWaiters.splice(0)) resolve(this.#ice.iceServers);
  }

  #sendReliably(message) {
    const numbered = this.#outbound.add(message);
    if (this.#state === 'open') this.#send(numbered);
  }

  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #setState(state, retryAt) {
    if (state === this.#state && !retryAt) return;
    this.#state = state;
    this.emit('state', { state, retryAt });
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

function parse(text) {
  try {
    const message = JSON.parse(text);
    return typeof message?.type === 'string' ? message : null;
  } catch {
    return null; // not ours to repair; the sequence numbers will show a loss
  }
}

function isWebSocketUrl(text) {
  return typeof text === 'string' && /^wss?:\/\//.test(text);
}
