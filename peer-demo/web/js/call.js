// One call: the people in the room and a PeerLink to each of them (a mesh). The connections are those of the client's
// `call` (viaduct.js), which negotiates and repairs them; here is what this page does with them. It knows nothing of the page's
// views.
//
// Events: links (somebody came or went), link (one of them changed), measured (a link's path, rates and level are new),
// chat, arrived, departed, stopped (a key of STOPS).

import { Emitter } from './emitter.js';
import { iceConfig } from './ice-config.js';
import { describePath } from './path.js';
import { PeerLink } from './peer-link.js';
import { Rates } from './rates.js';

export const MOST_PEOPLE = 4;
export const MOST_CHAT = 2_000; // characters in a message
const MOST_NAME = 40;
const STATS_EVERY_MS = 1_000;
const CHAT_BURST = 20; // messages from one person in CHAT_WINDOW_MS
const CHAT_WINDOW_MS = 5_000;
const FIRST_OFFER_WITHIN_MS = 5_000;

/** What the camera may send to each of the others, by their number: a mesh uploads once for each. */
const VIDEO_BITRATE = [0, 1_800_000, 1_000_000, 650_000];
const VIDEO_BITRATE_SAVING = 150_000;

export class Call extends Emitter {
  links = new Map(); // a random key of ours -> PeerLink
  relay = null; // see ice-config.js

  #signalling;
  #media;
  #room;
  #name;
  #calling = null; // the client's call
  #ends = [];
  #statsTimer = 0;
  #nextKey = 1;
  #everJoined = false;

  constructor({ signalling, media, room, name, relay }) {
    super();
    this.#signalling = signalling;
    this.#media = media;
    this.#room = room;
    this.#name = name;
    this.relay = relay;
  }

  start() {
    const on = (source, type, handler) => this.#ends.push(source.on(type, handler));
    const inRoom = (handler) => (message) => message.room === this.#room && handler(message);
    on(this.#signalling, 'joined', inRoom(({ peers }) => this.#joined(peers)));
    on(this.#signalling, 'state', ({ state }) => state === 'open' && this.setRelay(this.relay)); // the wishes that waited
    on(this.#signalling, 'error', ({ code }) => this.#refused(code));
    on(this.#media, 'change', () => this.#mediaChanged());
    this.#calling = this.#signalling.call(this.#room, {
      name: this.#name, rtc: (iceServers) => iceConfig(iceServers, this.relay),
      mostPeers: MOST_PEOPLE - 1, offerAfterMs: FIRST_OFFER_WITHIN_MS, // a fifth is told by their own page
    });
    const withLink = (handler) => ({ peer, ...event }) => this.#linkOf(peer) && handler(this.#linkOf(peer), event);
    on(this.#calling, 'peer', (event) => this.#add(event));
    on(this.#calling, 'connection', withLink((link, { connection, offersFirst }) => link.attach(connection, offersFirst)));
    on(this.#calling, 'track', withLink((link, event) => link.take(event)));
    on(this.#calling, 'state', withLink((link) => this.emit('link', link)));
    on(this.#calling, 'lost', withLink((link) => this.emit('link', link)));
    on(this.#calling, 'back', withLink((link) => this.#back(link)));
    on(this.#calling, 'left', () => this.#left());
    on(this.#calling, 'ended', ({ reason }) => this.#ended(reason));
    this.#statsTimer = setInterval(() => this.#tick(), STATS_EVERY_MS);
  }

  leave() {
    clearInterval(this.#statsTimer);
    for (const end of this.#ends.splice(0)) end();
    for (const link of this.links.values()) link.sayGoodbye();
    this.links.clear();
    this.#calling.leave();
    this.silence();
  }

  /** To everybody; returns how many it was sent to. */
  sendChat(text) {
    const message = { type: 'chat', text: text.slice(0, MOST_CHAT) };
    return [...this.links.values()].filter((link) => link.tell(message)).length;
  }

  /** A live change. While the server is away it waits, and the calls go on as they are. */
  setRelay(relay) {
    this.relay = relay;
    for (const link of this.links.values()) this.#applyRelay(link);
  }

  restartAll() {
    for (const link of this.links.values()) link.restart();
  }

  // --- who is here ---

  #joined(peers) {
    if (peers.length >= MOST_PEOPLE) return this.#stop('room-full');
    this.#everJoined = true;
  }

  /** The connection may have gone on meanwhile, with another path than is wished for now. */
  #back(link) {
    this.#applyRelay(link);
    this.emit('link', link);
  }

  #ended(reason) {
    if (reason === 'kicked' || reason === 'taken-over') this.#stop(reason);
    else if (reason === 'unauthorized' || reason === 'forbidden') this.#stop('refused');
  }

  #refused(code) {
    if (code === 'room-full') this.#stop('room-full');
    else if (code === 'bad-message' && !this.#everJoined) this.#stop('rejected');
    else if (code === 'unauthorized' || code === 'forbidden') this.#stop('refused');
  }

  #stop(why) {
    this.emit('stopped', why);
  }

  #linkOf(peer) {
    return [...this.links.values()].find((link) => link.id === peer);
  }

  #add({ peer, isNewcomer }) {
    const link = new PeerLink({ peer: this.#calling.peers.get(peer), local: this.#media });
    link.key = `peer-${this.#nextKey++}`;
    link.rates = new Rates();
    link.path = null;
    link.relay = this.relay; // the wish that it was made with
    link.remote = {}; // { mic, camera, screen, relay } as the other page tells
    link.chatTimes = [];
    link.on('tracks', () => this.emit('link', link));
    link.on('channel', () => link.tell(this.#ownState(link)));
    link.on('message', (message) => this.#hear(link, message));
    this.links.set(link.key, link);
    this.#shareBitrate();
    this.emit('links');
    if (isNewcomer) this.emit('arrived', link);
  }

  /** The client knows this peer no longer, so it is not found by its id. */
  #left() {
    for (const link of [...this.links.values()].filter((each) => each.state === 'closed')) {
      link.sayGoodbye();
      link.silence();
      this.links.delete(link.key);
      this.#shareBitrate();
      this.emit('departed', link);
      this.emit('links');
    }
  }

  /**
   * Towards the direct path a restart of ICE is enough. Towards the relay it is not: Chromium goes on with the direct
   * pair for as long as that works, so the connection is made anew, which costs half a second.
   */
  #applyRelay(link) {
    if (link.relay === this.relay || link.isLost || this.#signalling.state !== 'open') return;
    link.relay = this.relay;
    if (this.relay) link.renew();
    else link.restart();
  }

  // --- what we send ---

  #mediaChanged() {
    for (const link of this.links.values()) {
      link.setTrack('audio', this.#media.audio);
      link.setTrack('video', this.#media.video);
    }
    this.#shareBitrate();
    this.#tellState();
  }

  #shareBitrate() {
    const each = this.#media.saving ? VIDEO_BITRATE_SAVING : VIDEO_BITRATE[this.links.size] ?? VIDEO_BITRATE.at(-1);
    for (const link of this.links.values()) link.setMaxBitrate(each);
  }

  #tellState() {
    for (const link of this.links.values()) link.tell(this.#ownState(link));
  }

  #ownState(link) {
    const { audio, micOn, camera, screen } = this.#media;
    return {
      type: 'state',
      mic: Boolean(audio && micOn),
      camera: Boolean(camera),
      screen: Boolean(screen),
      relay: link.path?.local.type === 'relay' ? link.path.over : null,
    };
  }

  // --- what we hear ---

  #hear(link, message) {
    if (message.type === 'chat') this.#hearChat(link, message);
    else if (message.type === 'bye') this.#calling.drop(link.id, 'bye');
    else if (message.type === 'state') {
      link.remote = {
        mic: message.mic === true,
        camera: message.camera === true,
        screen: message.screen === true,
        relay: ['udp', 'tcp', 'tls'].includes(message.relay) ? message.relay : null,
      };
      this.emit('link', link);
    }
  }

  #hearChat(link, { text }) {
    const now = Date.now();
    link.chatTimes = link.chatTimes.filter((at) => at > now - CHAT_WINDOW_MS);
    if (typeof text !== 'string' || text.length > MOST_CHAT || link.chatTimes.length >= CHAT_BURST) return;
    link.chatTimes.push(now);
    this.emit('chat', { name: link.name, text });
  }

  #tick() {
    for (const link of this.links.values()) this.#measure(link);
  }

  async #measure(link) {
    const report = await link.stats();
    if (!report || !this.links.has(link.key)) return;
    const before = link.path;
    link.path = describePath(report, link.remote.relay);
    link.rates.add(report);
    link.level = audioLevelOf(report);
    if (before?.over !== link.path?.over || before?.local.type !== link.path?.local.type) link.tell(this.#ownState(link));
    this.emit('measured', link);
  }
}

function audioLevelOf(report) {
  const sound = [...report.values()].find((entry) => entry.type === 'inbound-rtp' && entry.kind === 'audio');
  return sound?.audioLevel ?? 0;
}
