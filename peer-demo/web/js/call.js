// One call: the people in the room and a PeerLink to each of them (a mesh). It ties signalling, media and links together
// and knows nothing of the page.
//
// A person is recognised by the random `instance` of their page, which travels in `meta`. When the server was restarted
// and everybody comes back under a new peer id, the connections that still stand are handed over to the new ids, and
// nobody sees or hears a thing.
//
// Events: links (somebody came or went), link (one of them changed), measured (a link's path, rates and level are new),
// chat, arrived, departed, joined (how many others), stopped (a key of STOPS).

import { Emitter } from './emitter.js';
import { iceConfig } from './ice-config.js';
import { describePath } from './path.js';
import { PeerLink } from './peer-link.js';
import { token } from './random.js';
import { Rates } from './rates.js';

export const MOST_PEOPLE = 4;
export const MOST_CHAT = 2_000; // characters in a message
const MOST_NAME = 40;
const ORPHAN_MS = 45_000;
const STATS_EVERY_MS = 1_000;
const CHAT_BURST = 20; // messages from one person in CHAT_WINDOW_MS
const CHAT_WINDOW_MS = 5_000;

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
  #instance = token(12);
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
    const on = (type, handler) => this.#ends.push(this.#signalling.on(type, (message) => {
      if (!message.room || message.room === this.#room) handler(message);
    }));
    on('session', (session) => this.#session(session));
    on('joined', (message) => this.#joined(message));
    on('peer-joined', (message) => this.#peerJoined(message));
    on('peer-left', (message) => this.#peerLeft(message));
    on('signal', ({ from, data }) => this.#linkOf(from)?.receive(data));
    on('error', ({ code }) => this.#refused(code));
    this.#ends.push(this.#media.on('change', () => this.#mediaChanged()));
    this.#signalling.join(this.#room, { name: this.#name, meta: { instance: this.#instance } });
    this.#statsTimer = setInterval(() => this.#tick(), STATS_EVERY_MS);
  }

  leave() {
    clearInterval(this.#statsTimer);
    for (const end of this.#ends.splice(0)) end();
    for (const link of this.links.values()) link.close();
    this.links.clear();
    this.#signalling.leave(this.#room);
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

  #session({ fresh }) {
    if (fresh) this.#orphanAll();
    else this.setRelay(this.relay);
  }

  #joined({ peers }) {
    const others = peers.filter((peer) => typeof peer?.peer === 'string');
    if (others.length >= MOST_PEOPLE) return this.#stop('room-full');
    this.#everJoined = true;
    this.#orphanAll(); // until the list says that they are here
    for (const peer of others) {
      if (!this.#reunite(peer)) this.#add(peer, true);
    }
    this.emit('joined', others.length);
  }

  #peerJoined(peer) {
    if (this.#reunite(peer)) return;
    if (this.links.size >= MOST_PEOPLE - 1 && !this.#dropOrphan()) return; // a fifth: their own page says so
    this.emit('arrived', this.#add(peer, false));
  }

  #peerLeft({ peer, reason }) {
    const link = this.#linkOf(peer);
    if (!link) return;
    if (['leave', 'bye', 'kicked'].includes(reason)) return this.#remove(link);
    link.orphan(Date.now()); // lost by the server, not by us: it may come back, and its media may still flow
    this.emit('link', link);
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
    return [...this.links.values()].find((link) => link.peer === peer);
  }

  /**
   * Known under this id, or the same page under a new one. Only a link whose own peer id is gone may be taken over:
   * nobody can claim the place of somebody present.
   */
  #reunite(entry) {
    const instance = instanceOf(entry);
    const link = this.#linkOf(entry.peer)
      ?? [...this.links.values()].find((each) => each.orphanedAt && each.instance && each.instance === instance);
    if (!link) return false;
    link.rebind({ peer: entry.peer, name: nameOf(entry), polite: entry.polite === true });
    this.#applyRelay(link);
    this.emit('link', link);
    return true;
  }

  #orphanAll() {
    const now = Date.now();
    for (const link of this.links.values()) link.orphan(now);
  }

  #dropOrphan() {
    const orphan = [...this.links.values()].find((link) => link.orphanedAt);
    if (orphan) this.#remove(orphan);
    return Boolean(orphan);
  }

  #add(entry, initiator) {
    const link = new PeerLink({
      peer: entry.peer,
      name: nameOf(entry),
      polite: entry.polite === true,
      initiator,
      send: (data) => this.#signalling.signal(this.#room, link.peer, data),
      config: (fresh) => this.#config(fresh),
      local: this.#media,
    });
    link.key = `peer-${this.#nextKey++}`;
    link.instance = instanceOf(entry);
    link.rates = new Rates();
    link.path = null;
    link.relay = this.relay; // the wish that it was made with
    link.remote = {}; // { mic, camera, screen, relay } as the other page tells
    link.chatTimes = [];
    link.on('state', () => this.emit('link', link));
    link.on('tracks', () => this.emit('link', link));
    link.on('channel', () => link.tell(this.#ownState(link)));
    link.on('message', (message) => this.#hear(link, message));
    this.links.set(link.key, link);
    this.#shareBitrate();
    this.emit('links');
    return link;
  }

  #remove(link) {
    link.close();
    this.links.delete(link.key);
    this.#shareBitrate();
    this.emit('departed', link);
    this.emit('links');
  }

  /**
   * Towards the direct path a restart of ICE is enough. Towards the relay it is not: Chromium goes on with the direct
   * pair for as long as that works, so the connection is made anew, which costs half a second.
   */
  #applyRelay(link) {
    if (link.relay === this.relay || link.orphanedAt || this.#signalling.state !== 'open') return;
    link.relay = this.relay;
    if (this.relay) link.renew();
    else link.restart();
  }

  async #config(fresh) {
    return iceConfig(await this.#signalling.iceServers({ fresh }), this.relay);
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
    else if (message.type === 'bye') this.#remove(link);
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
    for (const link of this.links.values()) {
      this.#measure(link);
      if (link.orphanedAt && !link.connected && Date.now() - link.orphanedAt > ORPHAN_MS) this.#remove(link);
    }
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

function instanceOf({ meta }) {
  return typeof meta?.instance === 'string' && meta.instance.length <= 64 ? meta.instance : null;
}

function nameOf({ name }) {
  const text = typeof name === 'string' ? name.trim().slice(0, MOST_NAME) : '';
  return text || 'Guest';
}
