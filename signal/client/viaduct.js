// A client of the Viaduct signalling protocol, version 1 (docs/signalling-protocol.md), for browsers and Node.js. One
// file, no dependency.
//
//   import { connect } from './viaduct.js';
//
//   const viaduct = connect('https://call.example.org');
//   viaduct.on('peer-joined', ({ room, peer }) => viaduct.signal(room, peer, { hello: 'there' }));
//   viaduct.on('signal', ({ from, data }) => console.log(from, data));
//   viaduct.join('blue-heron', { name: 'Ada' });
//
// It keeps one session alive over whatever gets through: WebSocket, else Server-Sent Events, else long polling, else
// polling, and back up when it can. A lost connection is resumed; what was said meanwhile is kept and sent then.
//
// Events, by on(type, handler): each message of the server under its type (`joined`, `peer-joined`, `peer-left`,
// `signal`, `broadcast`, `error`, …), and
//   state      { state: 'connecting' | 'open' | 'waiting' | 'closed', retryAt?, reason? }
//   session    { peer, fresh }   a session is open; `fresh` is false when it was resumed
//   transport  { transport }     'websocket', 'sse', 'longpoll' or 'poll'

/** From the best to the one that gets through everywhere. */
export const TRANSPORTS = ['websocket', 'sse', 'longpoll', 'poll'];

const DEFAULTS = {
  openWithinMs: 5_000, // a transport that shows no life for so long does not work here
  quietMs: 40_000, // a WebSocket or stream that says nothing for so long is dead
  pollEveryMs: 1_000,
  waitSeconds: 25,
  climbAfterMs: 30_000, // from a lower transport, how long until the next better one is tried; doubles up to 10 minutes
  backoffMs: 400,
  longestBackoffMs: 10_000,
  queue: 512, // messages that wait for their `delivered`
};
const ACK_EVERY = 32;
const ACK_AFTER_MS = 250;
const BATCH = 64; // messages of one request, and their characters: less than a server takes, and a slow line in time
const BATCH_LENGTH = 64 * 1024;
const IN_FLIGHT = 100; // the server knows the last 128 ids of a session, and takes an older one for a new message
const OWN_TAKEOVER_MS = 30_000;
const LONGEST_CLIMB_MS = 600_000;
const ICE_WITHIN_MS = 4_000;
const PROBE_WITHIN_MS = 8_000;
const SPREAD_MS = 10_000; // within which the clients of a node that goes away leave it
const FIRST_OFFER_MS = 1_500;
const DISCONNECTED_MS = 2_000; // RFC 7675 has consent expire after 30 s; a person hangs up long before
const POLITE_EXTRA_MS = 1_200;
const RESTART_CHECKS_MS = [5_000, 6_000, 8_000, 10_000, 15_000];
const RENEW_AFTER = 3; // restarts of ICE in vain
const FAREWELL_MS = 150;
const LOST_MS = 45_000;
const MOST_QUEUED = 256;
const FINAL = new Set(['unauthorized', 'forbidden']);

/** Opens a session at `url` (http:, https:, ws: or wss:) and keeps it. */
export function connect(url, options = {}) {
  return new Viaduct(url, options);
}

export class ViaductError extends Error {
  constructor({ code, message, retryAfter }) {
    super(message || code);
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

class Emitter {
  #handlers = new Map();

  /** Calls `handler(value)` on each `type` event; returns a function that ends it. */
  on(type, handler) {
    if (!this.#handlers.has(type)) this.#handlers.set(type, new Set());
    this.#handlers.get(type).add(handler);
    return () => this.#handlers.get(type).delete(handler);
  }

  emit(type, value) {
    for (const handler of [...(this.#handlers.get(type) ?? [])]) {
      try {
        handler(value);
      } catch (error) {
        queueMicrotask(() => { throw error; }); // the application's own, and no failure of what called it
      }
    }
  }
}

// A transport gets its host, the Viaduct, and reads one session from host.lastSeq on. It calls, until it is stopped:
// host.opened(this), host.received(this, message), and host.failed(this, error) once, last. `send` takes messages;
// what cannot be sent is lost, and the host sends it again after the next `opened`.

class WebSocketTransport {
  constructor(host) {
    this.host = host;
    this.name = 'websocket';
  }

  start() {
    const WebSocket = this.host.options.WebSocket ?? globalThis.WebSocket;
    if (!WebSocket) return this.host.failed(this, new Error('there is no WebSocket here'));
    const url = new URL('v1/ws', this.host.base);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(url.href, 'viaduct.v1');
    this.socket = socket;
    socket.onopen = () => this.send([this.host.hello()]);
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code }) => this.host.failed(this, closeError(code));
    socket.onerror = () => {};
  }

  #receive(text) {
    const message = parse(text);
    if (!message) return;
    if (message.type === 'welcome') this.host.welcomed(this, message);
    else if (message.type === 'error' && !('seq' in message) && !this.isOpen) this.host.failed(this, new ViaductError(message));
    else this.host.received(this, message);
  }

  send(messages) {
    if (this.socket.readyState !== 1) return;
    for (const message of messages) this.socket.send(JSON.stringify(message));
  }

  beat() {
    this.send([{ type: 'ping' }]);
  }

  stop() {
    this.socket?.close();
  }
}

/** What the three over HTTP share: the session is opened, and messages are sent, by requests of their own. */
class HttpTransport {
  #queue = [];
  #key;
  #posting = false;
  #requests = new Set(); // an AbortController for each that goes on

  constructor(host) {
    this.host = host;
    this.isStopped = false;
  }

  async start() {
    try {
      if (!this.host.session) {
        this.host.welcomed(this, await this.request('v1/session', { method: 'POST', body: this.host.hello() }));
      }
      await this.read();
    } catch (error) {
      this.host.failed(this, error);
    }
  }

  /** The JSON of an answer; throws a ViaductError where it is an error of the protocol. */
  request(path, options = {}) {
    return this.fetch(path, options, async (answer) => {
      const json = await answer.json();
      if (!answer.ok && json?.type === 'error') throw new ViaductError(json);
      if (!answer.ok && !json?.errors) throw new Error(`HTTP status ${answer.status}`);
      return json;
    });
  }

  /** What `take` makes of the answer. Ended by stop(), and after `withinMs`, unless take() calls its second argument. */
  async fetch(path, { method = 'GET', body, withinMs = this.host.options.openWithinMs }, take) {
    const headers = {}, key = this.host.session?.key ?? this.#key, controller = new AbortController();
    if (key) headers.Authorization = `Bearer ${key}`;
    if (body) headers['Content-Type'] = 'application/json';
    if (this.isStopped) throw new Error('stopped');
    this.#requests.add(controller);
    const late = setTimeout(() => controller.abort(new Error('no answer in time')), withinMs);
    try {
      const answer = await fetch(new URL(path, this.host.base), {
        method, headers, body: body && JSON.stringify(body), cache: 'no-store', credentials: 'omit', signal: controller.signal,
        keepalive: body?.[0]?.type === 'bye', // outlives the page
      });
      return await take(answer, () => clearTimeout(late));
    } finally {
      clearTimeout(late);
      this.#requests.delete(controller);
    }
  }

  send(messages) {
    this.#key = this.host.session?.key ?? this.#key; // `bye` goes out when the host has forgotten it
    this.#queue.push(...messages);
    this.#post();
  }

  /** What waits is refused alike, and will be sent again. */
  drop() {
    this.#queue.length = 0;
  }

  /** One request at a time, so that nothing overtakes. */
  async #post() {
    if (this.#posting) return;
    this.#posting = true;
    let batch = [];
    try {
      while (this.#queue.length > 0 && !this.isStopped) {
        batch = this.#queue.splice(0, batchLength(this.#queue));
        const answer = await this.request('v1/messages', { method: 'POST', body: batch });
        this.host.brought(batch, answer.errors ?? []);
        for (const error of answer.errors ?? []) this.host.refused(batch[error.index], error);
      }
    } catch (error) {
      this.host.failed(this, error);
    } finally {
      this.#posting = false;
    }
  }

  stop() {
    this.isStopped = true;
    for (const controller of this.#requests) controller.abort();
    this.wake?.();
  }
}

class EventsTransport extends HttpTransport {
  name = 'sse';

  read() {
    return this.fetch(`v1/events?after=${this.host.lastSeq}`, {}, async (answer, isInTime) => {
      if (!answer.ok) throw await errorOf(answer);
      const decoder = new TextDecoder();
      let rest = '';
      for await (const piece of pieces(answer.body)) {
        isInTime(); // a proxy that keeps answers back shows nothing until the end
        this.host.opened(this);
        this.host.alive();
        const events = (rest + decoder.decode(piece, { stream: true })).split('\n\n');
        rest = events.pop();
        for (const event of events) this.#event(event);
      }
      throw new Error('the stream has ended');
    });
  }

  #event(text) {
    const data = text.split('\n').filter((line) => line.startsWith('data: ')).map((line) => line.slice(6));
    const message = data.length > 0 && parse(data.join('\n'));
    if (!message) return;
    if (message.type === 'error' && !('seq' in message)) throw new ViaductError(message);
    this.host.received(this, message);
  }
}

class PollTransport extends HttpTransport {
  constructor(host, name) {
    super(host);
    this.name = name;
  }

  async read() {
    const isLong = this.name === 'longpoll';
    let first = true;
    for (;;) {
      // The first request answers at once: it shows that polling works, and that the session is there.
      const wait = isLong && !first ? this.host.options.waitSeconds : 0;
      const answer = await this.request(`v1/messages?after=${this.host.lastSeq}&wait=${wait}`, {
        withinMs: 1_000 * wait + this.host.options.openWithinMs,
      });
      first = false;
      this.host.opened(this);
      this.host.alive();
      for (const message of answer.messages) this.host.received(this, message);
      if (!isLong) await this.#sleep(this.host.options.pollEveryMs);
      if (this.isStopped) return;
    }
  }

  #sleep(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function makeTransport(host, name) {
  if (name === 'websocket') return new WebSocketTransport(host);
  return name === 'sse' ? new EventsTransport(host) : new PollTransport(host, name);
}

export class Viaduct extends Emitter {
  #token;
  #current = null; // the transport that reads; or the one that is to, while there is none
  #climbing = null; // a better one that is being tried beside it
  #isOpen = false;
  #state = 'closed';
  #rung = 0;
  #climbMs;
  #tries = 0;
  #unacked = 0;
  #openedAt = 0;
  #breaks = []; // of transports that had opened
  #climbs = 0;
  #rooms = new Map(); // room -> { name, meta, confirmed }
  #left = new Map(); // room -> the number of its leave, which the server is not known to have: the session may be in it
  #leaves = 0;
  #releaves = 0; // those that were said again: the server may call the first one done
  #pending = new Map(); // id -> { message, isSent, resolve, reject }
  #inFlight = 0; // of them, those that are sent
  #ended = false;
  #limits = {};
  #gaveUpAt = -Infinity; // on a transport that never opened: what it asked for may still arrive, and take over
  #nextId = 1;
  #timers = new Map();
  #onPageHide = ({ persisted }) => persisted || this.close(); // or the others would wait for it as for a lost connection
  #ice = { iceServers: [], iceTtl: 0, at: 0 };
  #iceWaiters = [];

  constructor(url, options) {
    super();
    this.options = { ...DEFAULTS, transports: TRANSPORTS, ...options };
    this.base = baseOf(url);
    this.#token = options.token;
    this.#climbMs = this.options.climbAfterMs;
    this.session = null; // { session, key } of the last welcome
    this.peer = null;
    this.lastSeq = 0;
    globalThis.addEventListener?.('pagehide', this.#onPageHide);
    queueMicrotask(() => this.#start());
  }

  get state() {
    return this.#state;
  }

  /** What reads at the moment, or null. */
  get transport() {
    return this.#isOpen ? this.#current.name : null;
  }

  /** Enters a room, now and again after each loss of the session. */
  join(room, { name, meta } = {}) {
    this.#rooms.set(room, { name, meta, confirmed: false });
    this.#left.delete(room);
    this.#send({ type: 'join', room, name, meta });
  }

  leave(room) {
    this.#rooms.delete(room);
    this.#left.set(room, ++this.#leaves);
    this.#sendLeaves([room]);
  }

  /** To one member. A promise of its delivery into that member's outbox; kept until then, also without a connection. */
  signal(room, to, data) {
    return this.#sendReliably({ type: 'signal', room, to, data });
  }

  /** To all other members, likewise. */
  broadcast(room, data) {
    return this.#sendReliably({ type: 'broadcast', room, data });
  }

  /** Takes a member out of a room, where the token allows it. */
  kick(room, peer) {
    this.#send({ type: 'kick', room, to: peer });
  }

  /**
   * Enters a room and connects to everybody in it: media by `options.stream`, data by the connections' own channels.
   * `options`: name, meta, stream, rtc (an RTCConfiguration beside the iceServers, or a function that makes it of them),
   * mostPeers (more are not met), offerAfterMs. See Call for its events.
   */
  call(room, options = {}) {
    return new Call(this, room, options);
  }

  /**
   * A promise of the `iceServers` for RTCPeerConnection: new ones when those we have are half spent, or `fresh` ones are
   * asked for. Where the server does not answer in time, the last known.
   */
  iceServers({ fresh = false } = {}) {
    const isGood = !fresh && Date.now() < this.#ice.at + this.#ice.iceTtl * 500;
    if (isGood || !this.#isOpen) return Promise.resolve(this.#ice.iceServers);
    return new Promise((resolve) => {
      this.#iceWaiters.push(resolve);
      if (this.#iceWaiters.length > 1) return; // one question answers all
      this.#send({ type: 'ice' });
      this.#after('ice', ICE_WITHIN_MS, () => this.#answerIce());
    });
  }

  /** For when the network may have changed: asks for a sign of life, and replaces a connection that gives none in time. */
  probe() {
    if (!this.#isOpen) return this.retryNow();
    const transport = this.#current;
    if (transport.name !== 'websocket' && transport.name !== 'sse') return; // whose every request is answered in time, or fails
    if (transport.beat) transport.beat();
    else this.#send({ type: 'ice' }); // its answer comes by the stream
    this.#after('quiet', PROBE_WITHIN_MS, () => this.failed(transport, new Error('the connection is silent')));
  }

  /** Does not wait for the next try: for when the network is back. */
  retryNow() {
    if (this.#state !== 'waiting') return;
    this.#tries = 0;
    this.#start();
  }

  /** Ends the session. */
  close() {
    if (this.#ended) return;
    const transport = this.#isOpen && this.#current;
    this.#send({ type: 'bye' });
    if (!transport) this.#current?.stop();
    this.#shut('closed');
    // A request that is on its way is let go; a socket closes behind what was sent.
    if (transport) setTimeout(() => transport.stop(), transport.name === 'websocket' ? 0 : 500);
  }

  // For transports.

  hello() {
    const resume = this.session && { ...this.session, after: this.lastSeq };
    return { type: 'hello', token: this.#token, client: 'viaduct.js/1', ...(resume && { resume }) };
  }

  welcomed(transport, message) {
    if (this.#isNobodys(transport)) return;
    const isFresh = !message.resumed, hadSession = this.peer !== null;
    this.#limits = message.limits ?? {};
    this.session = { session: message.session, key: message.key };
    this.peer = message.peer;
    this.#ice = { iceServers: message.iceServers ?? [], iceTtl: message.iceTtl ?? 0, at: Date.now() };
    if (isFresh) {
      this.lastSeq = 0;
      // What was said before there was any goes out with the first one.
      for (const { reject } of hadSession ? this.#takePending() : []) reject(new ViaductError({ code: 'session-gone', message: 'the session was lost' }));
      for (const entry of this.#rooms.values()) entry.confirmed = false;
      this.#left.clear();
    }
    this.emit('session', { peer: this.peer, fresh: isFresh });
    if (transport.name === 'websocket') this.opened(transport);
  }

  opened(transport) {
    if (transport.isOpen || this.#isNobodys(transport)) return;
    transport.isOpen = true;
    if (transport === this.#climbing) {
      this.#climbing = null;
      const old = this.#current;
      this.#current = transport;
      this.#climbMs = this.options.climbAfterMs;
      old.stop();
    }
    this.#rung = this.options.transports.indexOf(transport.name);
    this.#isOpen = true;
    this.#openedAt = Date.now();
    this.#stop('opening');
    this.#setState('open');
    this.emit('transport', { transport: transport.name });
    this.alive();
    this.#planClimb();
    this.#sendUnconfirmed();
  }

  alive() {
    if (this.#ended) return;
    this.#tries = 0;
    if (this.#current.name === 'websocket') this.#after('beat', this.options.quietMs / 2, () => this.#current?.beat?.());
    if (this.#current.name === 'websocket' || this.#current.name === 'sse') {
      this.#after('quiet', this.options.quietMs, () => this.failed(this.#current, new Error('the connection is silent')));
    }
  }

  received(transport, message) {
    if (this.#isNobodys(transport)) return;
    if (transport === this.#current) this.alive();
    if (Number.isInteger(message.seq)) {
      if (message.seq <= this.lastSeq) return; // the transport before this one has brought it
      if (message.seq > this.lastSeq + 1) return this.failed(transport, new Error('a message is missing'));
      this.lastSeq = message.seq;
      this.#acknowledgeSoon();
    }
    if (message.type === 'error' && isLeftAlready(message) && this.#releaves > 0) {
      this.#releaves -= 1; // the leave that was said twice
      return;
    }
    this.#handle(message);
    this.emit(message.type, message);
  }

  /** The server's word on one message of a request. */
  refused(message, error) {
    this.#handle({ ...error, id: error.id ?? message?.id });
    if (message?.type !== 'leave' || !isLeftAlready(error)) this.emit('error', error);
  }

  /** What a request has brought to the server, but for those that it refused. */
  brought(messages, errors) {
    const again = new Set(errors.filter((error) => !isLeftAlready(error)).map(({ index }) => index));
    const end = Math.min(messages.length, ...errors.filter(({ code }) => isForNow(code)).map(({ index }) => index)); // what is behind was not looked at
    for (const [i, { type, room }] of messages.entries()) if (type === 'leave' && i < end && !again.has(i)) this.#left.delete(room);
  }

  failed(transport, error) {
    if (transport.hasFailed) return; // its end makes what else it did fail too
    transport.hasFailed = true;
    if (!transport.isOpen) this.#gaveUpAt = Date.now();
    if (transport === this.#climbing) {
      this.#climbing = null;
      transport.stop();
      this.#climbMs = Math.min(LONGEST_CLIMB_MS, this.#climbMs * 2);
      if (this.#isOpen) this.#planClimb();
      else this.#lose(error);
      return;
    }
    if (transport !== this.#current || this.#state === 'closed') return;
    if (this.#climbing && error.code === 'taken-over') {
      transport.stop(); // by our own better one, which has not heard of it yet
      this.#isOpen = false;
      return;
    }
    this.#lose(error);
  }

  // Its own.

  #isNobodys(transport) {
    return this.#ended || (transport !== this.#current && transport !== this.#climbing);
  }

  #start() {
    if (this.#ended) return;
    this.#stop('retry');
    this.#setState('connecting');
    this.#use(this.options.transports[this.#rung]);
  }

  #use(name) {
    const transport = makeTransport(this, name);
    this.#current = transport;
    this.#isOpen = false;
    this.#after('opening', 2 * this.options.openWithinMs, () => this.failed(transport, new Error('it does not open')));
    transport.start();
  }

  /** What to do without the transport that has just failed. */
  #lose(error) {
    const wasOpen = this.#isOpen, last = this.#rung === this.options.transports.length - 1;
    const isBad = !wasOpen || this.#breaksOften();
    this.#halt();
    const isOurOwn = Date.now() - this.#gaveUpAt < OWN_TAKEOVER_MS && wasOpen;
    if (error.code === 'taken-over' && isOurOwn) this.#gaveUpAt = -Infinity;
    else if (error.code === 'taken-over' || FINAL.has(error.code)) return this.#shut(error.code);
    if (error.code === 'session-gone' || error.code === 'outbox-overflow') {
      this.session = null;
      return this.#start();
    }
    // One that never opened, or broke soon: perhaps this network lets only lesser ones through. From the last of them
    // it goes on, after a while, with the best.
    if (!error.retryAfter && isBad && !last) {
      this.#rung += 1;
      return this.#start();
    }
    if (!wasOpen) this.#rung = 0;
    this.#wait(1_000 * (error.retryAfter ?? 0));
  }

  #halt() {
    this.#climbing?.stop();
    this.#climbing = null;
    this.#current.stop();
    this.#isOpen = false;
    for (const name of ['opening', 'quiet', 'beat', 'climb', 'ack', 'resend']) this.#stop(name);
    this.#answerIce();
  }

  /** A transport that broke three times in two minutes, or twice soon after it had opened, is no good here. */
  #breaksOften() {
    const now = Date.now();
    this.#breaks = this.#breaks.filter(({ rung, at }) => rung === this.#rung && now - at < 120_000);
    this.#breaks.push({ rung: this.#rung, at: now, isSoon: now - this.#openedAt < this.options.openWithinMs });
    return this.#breaks.length >= 3 || this.#breaks.filter(({ isSoon }) => isSoon).length >= 2;
  }

  #wait(atLeastMs) {
    const ceiling = Math.min(this.options.longestBackoffMs, this.options.backoffMs * 2 ** Math.min(this.#tries, 10));
    const ms = Math.max(atLeastMs, ceiling / 2 + Math.random() * (ceiling / 2));
    this.#tries += 1;
    this.#after('retry', ms, () => this.#start());
    this.#setState('waiting', { retryAt: Date.now() + ms });
  }

  /** Every better one in turn, beside the one that reads: it takes over when it works. */
  #planClimb() {
    if (this.#rung === 0) return this.#stop('climb');
    this.#after('climb', this.#climbMs, () => {
      if (this.#climbing) return;
      const transport = makeTransport(this, this.options.transports[this.#nextUp()]);
      this.#climbing = transport;
      this.#after('climbing', 2 * this.options.openWithinMs, () => {
        if (this.#climbing === transport) this.failed(transport, new Error('it does not open'));
      });
      transport.start();
    });
  }

  /** The best first: what let it down may be over. */
  #nextUp() {
    this.#climbs += 1;
    return (this.#climbs - 1) % this.#rung;
  }

  #handle(message) {
    switch (message.type) {
      case 'joined':
        if (this.#rooms.has(message.room)) this.#rooms.get(message.room).confirmed = true;
        break;
      case 'peer-left':
        if (message.peer === this.peer) this.#rooms.delete(message.room); // shown the door
        break;
      case 'delivered':
        this.#settle(message.id)?.resolve();
        break;
      case 'ice-servers':
        this.#ice = { iceServers: message.iceServers, iceTtl: message.iceTtl, at: Date.now() };
        this.#answerIce();
        break;
      case 'pong':
        this.#heardLeaves(message.t);
        break;
      case 'redirect':
        this.#moveTo(message.url);
        break;
      case 'drain': // each at a moment of its own: all at once would be too much for the other node
        if (message.url) this.#after('move', Math.random() * Math.min(500 * (message.seconds || 0), SPREAD_MS), () => this.#moveTo(message.url));
        break;
      case 'error':
        if (message.code === 'rate-limited' || (message.code === 'server-full' && this.#isOpen)) {
          this.#after('resend', 1_000 * (message.retryAfter ?? 1), () => this.#sendUnconfirmed());
          this.#current.drop?.();
        } else if (message.id !== undefined) {
          this.#settle(message.id)?.reject(new ViaductError(message));
        }
        break;
      default: // the application's, by its event
    }
  }

  /** Without a url, the server has only said that it will go: it is left when it does. */
  #moveTo(url) {
    if (typeof url !== 'string' || !/^(ws|http)s?:\/\//.test(url)) return;
    const base = baseOf(url.replace(/\/v1\/ws$/, '/'));
    if (this.base.protocol === 'https:' && base.protocol !== 'https:') return;
    this.base = base;
    this.#halt();
    this.#wait(0);
  }

  #settle(id) {
    const entry = this.#pending.get(id);
    this.#pending.delete(id);
    if (entry?.isSent) this.#inFlight -= 1;
    this.#sendPending();
    return entry;
  }

  #takePending() {
    const all = [...this.#pending.values()];
    this.#pending.clear();
    this.#inFlight = 0;
    return all;
  }

  #answerIce() {
    this.#stop('ice');
    for (const resolve of this.#iceWaiters.splice(0)) resolve(this.#ice.iceServers);
  }

  #acknowledgeSoon() {
    this.#unacked += 1;
    // Polls acknowledge by where they go on.
    if (this.#current.name === 'longpoll' || this.#current.name === 'poll') return;
    if (this.#unacked >= ACK_EVERY) this.#acknowledge();
    else if (!this.#timers.has('ack')) this.#after('ack', ACK_AFTER_MS, () => this.#acknowledge());
  }

  #acknowledge() {
    this.#stop('ack');
    this.#unacked = 0;
    this.#send({ type: 'ack', seq: this.lastSeq });
  }

  #sendReliably(message) {
    if (this.#ended) return Promise.reject(new ViaductError({ code: 'closed', message: 'the session is closed' }));
    if (this.#pending.size >= this.options.queue) return Promise.reject(new ViaductError({ code: 'queue-full', message: 'too many messages wait' }));
    const id = this.#nextId++;
    const promise = new Promise((resolve, reject) => this.#pending.set(id, { message: { ...message, id }, isSent: false, resolve, reject }));
    promise.catch(() => {}); // whoever does not look at it need not
    this.#sendPending();
    return promise;
  }

  /** Joins that were not answered, then all that was not delivered, in order; the server knows what it had already. */
  #sendUnconfirmed() {
    this.#releaves = this.#left.size;
    this.#sendLeaves([...this.#left.keys()]);
    for (const [room, { name, meta, confirmed }] of this.#rooms) {
      if (!confirmed) this.#send({ type: 'join', room, name, meta });
    }
    if (this.#iceWaiters.length > 0) this.#send({ type: 'ice' });
    for (const entry of this.#pending.values()) entry.isSent = false;
    this.#inFlight = 0;
    this.#sendPending();
  }

  /** The oldest first; and nothing while a refused one waits for its time, or it would be overtaken. */
  #sendPending() {
    if (!this.#isOpen || this.#timers.has('resend')) return;
    for (const [id, entry] of this.#pending) {
      if (this.#inFlight >= IN_FLIGHT) return;
      if (entry.isSent) continue;
      if (isLonger(JSON.stringify(entry.message), this.#limits.messageSize)) {
        this.#pending.delete(id);
        entry.reject(new ViaductError({ code: 'too-large', message: `more than ${this.#limits.messageSize} bytes` }));
        continue;
      }
      entry.isSent = true;
      this.#inFlight += 1;
      this.#send(entry.message);
    }
  }

  /** A leave has no answer; over a WebSocket the one of a ping behind it says that it was heard. */
  #sendLeaves(rooms) {
    for (const room of rooms) this.#send({ type: 'leave', room });
    if (rooms.length > 0 && this.#isOpen && this.#current.name === 'websocket') this.#send({ type: 'ping', t: `left ${this.#leaves}` });
  }

  #heardLeaves(t) {
    const upTo = Number(/^left (\d+)$/.exec(t)?.[1] ?? 0);
    for (const [room, number] of this.#left) if (number <= upTo) this.#left.delete(room);
    if (upTo > 0 && this.#left.size === 0) this.#releaves = 0;
  }

  #send(message) {
    if (this.#isOpen) this.#current.send([message]);
  }

  #shut(reason) {
    this.#ended = true;
    globalThis.removeEventListener?.('pagehide', this.#onPageHide);
    for (const name of [...this.#timers.keys()]) this.#stop(name);
    this.#climbing?.stop();
    this.#climbing = null;
    if (reason !== 'closed') this.#current?.stop();
    this.#isOpen = false;
    this.session = null;
    this.#rooms.clear();
    for (const { reject } of this.#takePending()) reject(new ViaductError({ code: reason, message: 'the session is closed' }));
    this.#answerIce();
    this.#setState('closed', { reason });
  }

  #setState(state, more = {}) {
    if (state === this.#state && !more.retryAt) return;
    this.#state = state;
    this.emit('state', { state, ...more });
  }

  #after(name, ms, action) {
    this.#stop(name);
    const timer = setTimeout(() => {
      this.#timers.delete(name);
      action();
    }, ms);
    this.#timers.set(name, timer);
  }

  #stop(name) {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }
}

// A call: a connection to each other member of a room, by perfect negotiation (WebRTC, section 10.7): either side may
// offer at any time, and where two offers cross, the polite one gives way.
//
// What goes to the other as `data`: { pc, to, description } and { pc, to, candidate }. `pc` is a random name of the
// sender's RTCPeerConnection, `to` the last one that it knows of the receiver's: who starts over is recognised by them,
// and what was meant for a connection that is gone does no harm. Both may be left out.

/** The connection to one of the others. It repairs itself, and may be made anew: see the event `connection`. */
class CallPeer {
  state = 'connecting'; // 'connecting' | 'connected' | 'reconnecting' | 'closed'
  isLost = false; // the server has lost its session: nothing can be negotiated until it is back or given up
  connection = null;
  #call;
  #pcName = '';
  #theirPc = null;
  #generation = 0;
  #mayOffer = false; // two first offers that cross: Chromium may then gather no candidates for the answer. So one goes first
  #makingOffer = false;
  #ignoreOffer = false;
  #order = Promise.resolve();
  #closing = null; // resolved when the connection is closed: a description that was being set then is never done
  #closed = () => {};
  #queued = 0;
  #restarting = false;
  #restarts = 0;
  #timers = new Map();

  constructor(call, card, isNewcomer) {
    this.#call = call;
    this.isNewcomer = isNewcomer;
    this.take(card);
  }

  /** Who it is, and under which id: again when the server has lost the session of a page that goes on. */
  take({ peer, name, meta, polite }) {
    Object.assign(this, { peer, name, meta, polite, isLost: false });
    if (!this.connection) return;
    // Whatever was under way went to the old id.
    if (this.state !== 'connected' || this.connection.signalingState !== 'stable') this.#restartSoon(this.#politely(0));
  }

  open(offersFirst) {
    this.#generation += 1;
    const generation = this.#generation;
    this.#order = this.#order.then(() => this.#connect(offersFirst, generation)).catch((error) => this.#report(error));
    return this.#order;
  }

  async #connect(offersFirst, generation) {
    const config = await this.#call.configuration(false);
    if (this.state === 'closed' || generation !== this.#generation) return;
    const connection = new RTCPeerConnection(config);
    this.connection = connection;
    this.#closing = new Promise((resolve) => { this.#closed = resolve; });
    this.#pcName = randomName();
    this.#theirPc = null;
    this.#mayOffer = offersFirst;
    connection.onnegotiationneeded = () => this.#offer();
    connection.onicecandidate = ({ candidate }) => this.#tell({ candidate });
    connection.oniceconnectionstatechange = () => this.#iceChanged();
    connection.ontrack = ({ track, streams, transceiver }) => this.#emit('track', { track, streams, transceiver });
    connection.ondatachannel = ({ channel }) => this.#emit('channel', { channel });
    if (!offersFirst) this.#after('first-offer', this.#call.options.offerAfterMs ?? FIRST_OFFER_MS, () => this.#allowOffers());
    this.#watch();
    for (const stream of this.#call.streams) this.add(stream);
    this.#call.connected(this, offersFirst);
  }

  add(stream) {
    for (const track of this.connection ? stream.getTracks() : []) this.connection.addTrack(track, stream);
  }

  /** ICE again, with fresh credentials, on the same connection: when the network has changed, or the configuration. */
  async restart() {
    this.#stop('restart');
    if (this.#restarting || this.state === 'closed' || this.isLost) return;
    this.#restarting = true;
    try {
      const config = await this.#call.configuration(true);
      const { connection } = this;
      if (!connection || this.state === 'closed') return;
      if (connection.signalingState === 'have-local-offer') await connection.setLocalDescription({ type: 'rollback' });
      connection.setConfiguration(config);
      this.#restarts += 1;
      this.#allowOffers();
      connection.restartIce();
    } catch {
      // The connection was replaced meanwhile; #watch looks at the one that is there now.
    } finally {
      this.#restarting = false;
      this.#watch();
    }
  }

  /** A new RTCPeerConnection, here and, by our offer, on the other side. */
  async renew() {
    if (this.state !== 'closed') await this.#renew(true);
  }

  #renew(offersFirst) {
    this.#dismantle(0);
    this.#closed();
    this.#setState('reconnecting');
    return this.open(offersFirst);
  }

  /** What the other has sent, one at a time and in order. */
  receive(data) {
    if (this.#queued >= MOST_QUEUED || typeof data !== 'object' || data === null) return;
    this.#queued += 1;
    this.#order = this.#order.then(() => Promise.race([this.#process(data), this.#closing])).catch((error) => {
      this.#report(error);
      this.#restartSoon(0); // a description that does not fit: negotiate anew
    }).finally(() => { this.#queued -= 1; });
  }

  async #process({ pc, to, description, candidate }) {
    if (this.state === 'closed' || !this.connection) return;
    if (to && to !== this.#pcName) return this.#allowOffers(); // for a connection that is gone; offers the one that is there
    if (pc && this.#theirPc && pc !== this.#theirPc) {
      if (description?.type !== 'offer') return;
      await this.#startOver();
    }
    if (description) await this.#describe(description, pc);
    else if (candidate !== undefined) await this.#addCandidate(candidate);
  }

  /** Not by open(), which would wait for the message that waits for it. */
  #startOver() {
    this.#dismantle(0);
    this.#setState('reconnecting');
    this.#generation += 1;
    return this.#connect(false, this.#generation);
  }

  async #describe(description, pc) {
    const { connection } = this, isOffer = description.type === 'offer';
    const isReady = !this.#makingOffer && connection.signalingState === 'stable';
    this.#ignoreOffer = !this.polite && isOffer && !isReady;
    if (this.#ignoreOffer) return;
    if (!isOffer && connection.signalingState !== 'have-local-offer') return; // to an offer that was taken back
    await connection.setRemoteDescription(description);
    this.#theirPc = pc ?? null;
    this.#stop('first-offer');
    this.#mayOffer = true;
    if (!isOffer) return;
    await connection.setLocalDescription();
    this.#tell({ description: connection.localDescription });
  }

  async #addCandidate(candidate) {
    try {
      await this.connection.addIceCandidate(candidate ?? undefined);
    } catch {
      // Of a description that was ignored, taken back or replaced; the valid ones come with their own.
    }
  }

  #allowOffers() {
    if (this.#mayOffer || !this.connection) return;
    this.#mayOffer = true;
    this.#stop('first-offer');
    this.#offer();
  }

  async #offer() {
    const { connection } = this;
    if (!this.#mayOffer || this.#makingOffer || connection?.signalingState !== 'stable') return;
    try {
      this.#makingOffer = true;
      await connection.setLocalDescription();
      if (connection === this.connection) this.#tell({ description: connection.localDescription });
    } catch (error) {
      if (connection !== this.connection) return;
      this.#report(error);
      this.#restartSoon(DISCONNECTED_MS);
    } finally {
      this.#makingOffer = false;
    }
  }

  #tell(data) {
    if (this.state === 'closed') return;
    const { viaduct, room } = this.#call;
    viaduct.signal(room, this.peer, { pc: this.#pcName, ...(this.#theirPc && { to: this.#theirPc }), ...data });
  }

  #iceChanged() {
    switch (this.connection.iceConnectionState) {
      case 'connected':
      case 'completed':
        this.#restarts = 0;
        this.#stop('restart');
        this.#stop('watch');
        this.#setState('connected');
        break;
      case 'disconnected':
        this.#setState('reconnecting');
        this.#restartSoon(this.#politely(DISCONNECTED_MS));
        break;
      case 'failed':
        this.#setState('reconnecting');
        this.#restartSoon(this.#politely(0));
        break;
      default: // new, checking, closed: #watch sees to a start that takes too long
    }
  }

  /** So that one side restarts, not both at once. */
  #politely(ms) {
    return ms + (this.polite ? POLITE_EXTRA_MS : 0);
  }

  #restartSoon(ms) {
    if (this.state !== 'closed' && !this.#timers.has('restart')) this.#after('restart', ms, () => this.restart());
  }

  /** Looks later whether the connection stands, and starts over with more force if it does not. */
  #watch() {
    if (this.state === 'closed') return;
    const wait = RESTART_CHECKS_MS[Math.min(this.#restarts, RESTART_CHECKS_MS.length - 1)];
    this.#after('watch', this.#politely(wait), () => {
      const stands = ['connected', 'completed'].includes(this.connection?.iceConnectionState);
      if (stands && this.connection.signalingState === 'stable') {
        this.#restarts = 0;
        return;
      }
      if (this.isLost || this.#isIdle()) return this.#watch();
      if (this.#restarts < RENEW_AFTER) return this.restart();
      this.#restarts = 0;
      this.renew();
    });
  }

  /** Neither has anything to say to the other. */
  #isIdle() {
    return this.connection?.signalingState === 'stable' && !this.connection.currentLocalDescription;
  }

  #setState(state) {
    if (this.state === state || this.state === 'closed') return;
    this.state = state;
    this.#emit('state', { state });
  }

  #emit(type, more) {
    if (this.state !== 'closed') this.#call.emit(type, { peer: this.peer, ...more });
  }

  #report(error) {
    this.#emit('trouble', { error });
  }

  #dismantle(afterMs) {
    for (const name of [...this.#timers.keys()]) this.#stop(name);
    const { connection } = this;
    this.connection = null;
    if (!connection) return;
    connection.onnegotiationneeded = connection.onicecandidate = connection.oniceconnectionstatechange = null;
    connection.ontrack = connection.ondatachannel = null;
    if (afterMs > 0) setTimeout(() => connection.close(), afterMs);
    else connection.close();
  }

  close() {
    this.state = 'closed';
    this.#closed();
    this.#dismantle(FAREWELL_MS); // what was said last on a data channel still goes out
  }

  #after(name, ms, action) {
    this.#stop(name);
    this.#timers.set(name, setTimeout(() => {
      this.#timers.delete(name);
      action();
    }, ms));
  }

  #stop(name) {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }
}

/**
 * Made by viaduct.call(). Its events, each but the last with the id `peer` of one of the others:
 *   peer        { name, meta, connection, isNewcomer }   there is a connection to somebody
 *   connection  { connection, offersFirst }   a new RTCPeerConnection, the first one too: for channels and tracks of one's own
 *   track       { track, streams, transceiver }
 *   channel     { channel }
 *   state       { state }      'connecting', 'connected', 'reconnecting'
 *   lost        {}             the server has lost them; the connection may go on, and they may come back
 *   back        { before }     they are back, and had the id `before`
 *   left        { reason }
 *   trouble     { error }
 *   ended       { reason }     the call is over for us: we were kicked, or the session is closed
 */
class Call extends Emitter {
  #offs = [];
  #order = Promise.resolve(); // who comes and goes, in the order in which it was said
  #isOver = false;
  #giveUps = new Map(); // CallPeer -> a timer, of those that are lost

  constructor(viaduct, room, options) {
    super();
    Object.assign(this, { viaduct, room, options, peers: new Map(), streams: options.stream ? [options.stream] : [] });
    this.#when('joined', ({ peers }) => this.#meetAll(peers));
    this.#when('peer-joined', (card) => this.#meet(card, true));
    this.#when('peer-left', ({ peer, reason }) => this.#left(peer, reason));
    this.#when('signal', ({ from, data }) => this.peers.get(from)?.receive(data));
    // Who has lost the session is somebody else to the others; the connections to them go on.
    this.#offs.push(viaduct.on('session', ({ fresh }) => fresh && this.#next(() => this.#loseAll())));
    this.#offs.push(viaduct.on('state', ({ state, reason }) => state === 'closed' && this.#next(() => this.#end(reason))));
    viaduct.join(room, { name: options.name, meta: withInstance(options.meta) });
  }

  /** Sends another stream to everybody, and to whoever comes. */
  addStream(stream) {
    this.streams.push(stream);
    for (const peer of this.peers.values()) peer.add(stream);
  }

  leave() {
    if (this.#isOver) return;
    this.#over('leave');
    this.viaduct.leave(this.room);
  }

  /** Gives one of them up, who has said goodbye in another way. */
  drop(id, reason = 'leave') {
    const peer = this.peers.get(id);
    if (!peer) return;
    this.peers.delete(id);
    this.#keep(peer);
    peer.close();
    this.emit('left', { peer: id, reason });
  }

  /** By a CallPeer: it has a new connection. */
  connected(peer, offersFirst) {
    const { name, meta, connection, isNewcomer } = peer, id = peer.peer;
    if (!peer.isMet) this.emit('peer', { peer: id, name, meta, connection, isNewcomer });
    peer.isMet = true;
    this.emit('connection', { peer: id, connection, offersFirst });
  }

  /** For a connection: the servers that there are, with the wishes of `options.rtc`. */
  async configuration(fresh) {
    const { rtc } = this.options, iceServers = await this.viaduct.iceServers({ fresh });
    return typeof rtc === 'function' ? rtc(iceServers) : { ...rtc, iceServers };
  }

  #when(type, action) {
    this.#offs.push(this.viaduct.on(type, (event) => event.room === this.room && this.#next(() => action(event))));
  }

  #next(action) {
    this.#order = this.#order.then(() => !this.#isOver && action()).catch((error) => this.emit('trouble', { peer: null, error }));
  }

  async #meetAll(cards) {
    const here = new Set(cards.map((card) => card?.peer));
    for (const peer of this.peers.values()) if (!here.has(peer.peer)) this.#lose(peer);
    for (const card of cards) await this.#meet(card, false);
  }

  async #meet(card, isNewcomer) {
    if (typeof card?.peer !== 'string' || this.#reunite(card)) return;
    if (this.peers.size >= (this.options.mostPeers ?? Infinity) && !this.#dropLost()) return;
    const peer = new CallPeer(this, card, isNewcomer);
    this.peers.set(card.peer, peer);
    await peer.open(!card.polite);
  }

  /**
   * Known under this id, or the same page under a new one. Only somebody lost may be taken for somebody else: nobody can
   * claim the place of who is present.
   */
  #reunite(card) {
    const instance = instanceOf(card);
    const peer = this.peers.get(card.peer)
      ?? [...this.peers.values()].find((each) => each.isLost && instance !== null && instanceOf(each) === instance);
    if (!peer) return false;
    const before = peer.peer;
    if (before === card.peer && !peer.isLost) return true;
    this.peers.delete(before);
    this.peers.set(card.peer, peer);
    this.#keep(peer);
    peer.take(card);
    this.emit('back', { peer: card.peer, before });
    return true;
  }

  #left(id, reason) {
    if (id === this.viaduct.peer) return this.#end(reason);
    const peer = this.peers.get(id);
    if (!peer) return;
    if (reason === 'timeout' || reason === 'outbox-overflow') this.#lose(peer); // by the server, not by us
    else this.drop(id, reason);
  }

  #lose(peer) {
    if (peer.isLost) return;
    peer.isLost = true;
    this.#giveUpLater(peer);
    this.emit('lost', { peer: peer.peer });
  }

  #loseAll() {
    for (const peer of this.peers.values()) this.#lose(peer);
  }

  #giveUpLater(peer) {
    this.#giveUps.set(peer, setTimeout(() => {
      if (peer.state === 'connected') this.#giveUpLater(peer);
      else this.drop(peer.peer, 'timeout');
    }, LOST_MS));
  }

  #keep(peer) {
    clearTimeout(this.#giveUps.get(peer));
    this.#giveUps.delete(peer);
  }

  #dropLost() {
    const lost = [...this.peers.values()].find((peer) => peer.isLost);
    if (lost) this.drop(lost.peer, 'timeout');
    return Boolean(lost);
  }

  #end(reason) {
    this.#over(reason);
    this.emit('ended', { reason });
  }

  #over(reason) {
    this.#isOver = true;
    for (const off of this.#offs.splice(0)) off();
    for (const id of [...this.peers.keys()]) this.drop(id, reason);
  }
}

/** By this a page is known again that comes back under another id. */
function withInstance(meta) {
  if (meta === undefined || meta === null) return { instance: randomName() };
  return Object.getPrototypeOf(meta) === Object.prototype ? { instance: randomName(), ...meta } : meta;
}

function instanceOf({ meta }) {
  const instance = meta?.instance;
  return typeof instance === 'string' && instance.length > 0 && instance.length <= 64 ? instance : null;
}

/** 72 random bits. */
function randomName() {
  return Array.from(crypto.getRandomValues(new Uint8Array(9)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** What a leave is answered by where nothing is left to leave. */
function isLeftAlready({ code, id }) {
  return id === undefined && (code === 'not-in-room' || code === 'no-such-room');
}

/** Refused for now, with everything behind it. */
function isForNow(code) {
  return code === 'rate-limited' || code === 'server-full';
}

function parse(text) {
  try {
    const message = JSON.parse(text);
    return typeof message?.type === 'string' ? message : null;
  } catch {
    return null; // the seqs will show a loss
  }
}

function baseOf(url) {
  const base = new URL(String(url).replace(/^ws/, 'http'), globalThis.location?.href);
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  return base;
}

/** In UTF-8; 0 or none: nothing is too long. */
function isLonger(text, limit) {
  if (!limit || 3 * text.length <= limit) return false;
  return new TextEncoder().encode(text).length > limit;
}

/** How many of the first ones make one request. */
function batchLength(messages) {
  let length = 0, count = 0;
  while (count < messages.length && count < BATCH) {
    length += JSON.stringify(messages[count]).length;
    if (count > 0 && length > BATCH_LENGTH) break;
    count += 1;
  }
  return count;
}

function closeError(code) {
  const codes = { 4001: 'taken-over', 4002: 'outbox-overflow' };
  return codes[code] ? new ViaductError({ code: codes[code] }) : new Error(`closed with ${code}`);
}

async function errorOf(answer) {
  const text = await answer.text();
  const message = parse(text);
  return message?.type === 'error' ? new ViaductError(message) : new Error(`HTTP status ${answer.status}`);
}

/** Not every browser can iterate over a stream. */
async function* pieces(stream) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
