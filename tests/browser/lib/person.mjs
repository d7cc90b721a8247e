// One person at the call page: what a test does with it and sees of it. Everything goes through what a person has too
// (the visible page), but for the numbers, which come from the RTCPeerConnections themselves.

import assert from 'node:assert/strict';

import { until } from './wait.mjs';

/** Pictures are drawn by the CPU here: a small window leaves more of it to the call. */
const VIEWPORT = { width: 900, height: 600 };

/** Runs before the page's own scripts: keeps the connections within reach, and reports what the CSP refuses. */
function instrument() {
  const connections = [];
  const Original = window.RTCPeerConnection;
  if (Original) {
    window.RTCPeerConnection = class extends Original {
      constructor(...args) {
        super(...args);
        connections.push(this);
      }
    };
  }
  const sockets = [];
  const OriginalSocket = window.WebSocket;
  window.WebSocket = class extends OriginalSocket {
    constructor(...args) {
      super(...args);
      sockets.push(this);
    }
  };
  window.viaductTest = { connections, sockets };
  document.addEventListener('securitypolicyviolation', (event) => {
    console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`);
  });
}

/** In the page: the state of each open connection, as plain numbers. */
async function snapshot() {
  const open = window.viaductTest.connections.filter((pc) => pc.connectionState !== 'closed');
  return Promise.all(open.map(async (pc) => {
    const entries = [...(await pc.getStats()).values()];
    const byId = (id) => entries.find((entry) => entry.id === id);
    const transport = entries.find((entry) => entry.type === 'transport');
    const pair = transport && byId(transport.selectedCandidatePairId);
    const local = pair && byId(pair.localCandidateId);
    const remote = pair && byId(pair.remoteCandidateId);
    const sum = (type, member) => entries.filter((entry) => entry.type === type).reduce((all, entry) => all + (entry[member] ?? 0), 0);
    return {
      ice: pc.iceConnectionState,
      local: local?.candidateType,
      remote: remote?.candidateType,
      relayProtocol: local?.relayProtocol,
      localTypes: [...new Set(entries.filter((entry) => entry.type === 'local-candidate').map((entry) => entry.candidateType))],
      frames: sum('inbound-rtp', 'framesDecoded'),
      audioBytes: entries.filter((entry) => entry.type === 'inbound-rtp' && entry.kind === 'audio').reduce((all, entry) => all + entry.bytesReceived, 0),
      sent: transport?.bytesSent ?? 0,
      received: transport?.bytesReceived ?? 0,
    };
  }));
}

export class Person {
  errors = [];
  welcomes = []; // `resumed` of each welcome, in order
  #expected = [];

  constructor(context, page, name) {
    Object.assign(this, { context, page, name });
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') this.#note(message.text());
      if (/v=0\r?\n|a=ice-pwd|"credential"/.test(message.text())) this.#note(`a secret on the console: ${message.text()}`);
    });
    page.on('pageerror', (error) => this.#note(`uncaught: ${error.name} ${error.message}`));
    page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => {
      const message = JSON.parse(payload);
      if (message.type === 'welcome') this.welcomes.push(message.resumed);
    }));
    page.on('response', (response) => { // over HTTP, where a resumed one has no welcome
      if (new URL(response.url()).pathname === '/v1/session' && response.status() === 201) this.welcomes.push(false);
    });
  }

  static async open(browser, url, name, options = {}) {
    const context = await browser.newContext({ viewport: VIEWPORT, ...options });
    context.setDefaultTimeout(20_000);
    await context.addInitScript(instrument);
    const page = await context.newPage();
    const person = new Person(context, page, name);
    await page.goto(url);
    return person;
  }

  /** Opens the link to a room and joins it. `query` as in the link; `save=1` keeps the machine's load down. */
  static async join(browser, suite, room, name, { query = 'save=1', ...options } = {}) {
    const person = await Person.open(browser, `${suite.url}/r/${room}?${query}`, name, options);
    await person.enter();
    return person;
  }

  async enter() {
    await this.page.fill('#name', this.name);
    await this.page.click('#join-button');
    await this.page.waitForSelector('#call:not([hidden])');
  }

  /** A console error that the test brings about itself, such as a refused connection to a server that it killed. */
  expect(pattern) {
    this.#expected.push(pattern);
  }

  connections() {
    return this.page.evaluate(snapshot);
  }

  async connection() {
    const all = await this.connections();
    assert.equal(all.length, 1, `${this.name} has ${all.length} connections, not one`);
    return all[0];
  }

  /** Waits until `count` connections stand and each of them decodes `frames` more pictures than now. */
  async seesFrames({ count = 1, frames = 5, withinMs = 30_000 } = {}) {
    let start = null;
    return until(`${this.name} sees ${count} moving picture(s)`, async () => {
      const now = await this.connections();
      if (now.length !== count || !now.every(({ ice }) => ice === 'connected' || ice === 'completed')) return null;
      start ??= now;
      return now.every((each, i) => each.frames >= (start[i]?.frames ?? 0) + frames) ? now : null;
    }, withinMs);
  }

  // `words`: a text, or a regular expression.
  async seesPath(words, withinMs = 20_000) {
    await until(`${this.name}'s page says "${words}"`, async () => {
      const chips = await this.page.locator('.path-chip:visible').allInnerTexts();
      const fits = (text) => (words instanceof RegExp ? words.test(text) : text === words);
      return chips.length > 0 && chips.every((text) => fits(text.trim()));
    }, withinMs);
  }

  async seesPeople(count, withinMs = 20_000) {
    await until(`${this.name}'s page shows ${count} people`, async () => {
      const tiles = await this.page.locator('.tile').count();
      return tiles === count && (await this.page.innerText('#people')).includes(count === 1 ? 'just you' : `${count} people`);
    }, withinMs);
  }

  async says(text) {
    if (!(await this.page.isVisible('#chat-panel'))) await this.page.click('#chat');
    await this.page.fill('#chat-text', text);
    await this.page.press('#chat-text', 'Enter');
  }

  async hears(from, text) {
    await until(`${this.name} reads "${text}" from ${from}`, () => this.page.evaluate(([who, what]) => (
      [...document.querySelectorAll('#chat-log li:not(.mine)')].some((item) => (
        item.querySelector('.who').textContent === who && item.querySelector('.text').textContent === what))
    ), [from, text]));
  }

  async seesMuted(name, muted) {
    await until(`${this.name} sees ${name} ${muted ? 'muted' : 'not muted'}`, () => this.page.evaluate(([who, want]) => (
      [...document.querySelectorAll('.tile:not(.self)')].some((tile) => (
        tile.getAttribute('aria-label') === who && tile.classList.contains('muted') === want))
    ), [name, muted]));
  }

  /** Nothing went wrong that the test did not bring about. */
  assertClean() {
    const surprises = this.errors.filter((text) => !this.#expected.some((pattern) => pattern.test(text)));
    assert.deepEqual(surprises, [], `errors on the page of ${this.name}`);
  }

  async close() {
    await this.context.close();
  }

  #note(text) {
    this.errors.push(text);
  }
}

export const SERVER_AWAY = /WebSocket connection to .* failed|ERR_CONNECTION_REFUSED/;
