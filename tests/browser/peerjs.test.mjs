// Calls by the npm package peerjs, as it is: data connections and media, its own ids, reconnecting, a peer that is not there.

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';

import { CAMERA } from './lib/browser.mjs';
import { stage } from './lib/stage.mjs';
import { until } from './lib/wait.mjs';

const { suite, scene } = stage([CAMERA, CAMERA]);
const PEERJS = fileURLToPath(new URL('node_modules/peerjs/dist/peerjs.min.js', import.meta.url));

/** In the page: a peer that answers whoever connects or calls; what it is told is kept in window.heard. */
async function start(id) {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 160, height: 120 } });
  const options = { host: location.hostname, port: Number(location.port), path: '/peerjs', config: { iceServers: [] } };
  const peer = id ? new window.Peer(id, options) : new window.Peer(options);
  const heard = { opened: [], data: [], streams: 0, closed: 0, errors: [], disconnected: 0 };
  const listen = (connection) => {
    connection.on('data', (data) => heard.data.push(data));
    connection.on('close', () => { heard.closed += 1; });
  };
  const watch = (call) => call.on('stream', () => { heard.streams += 1; });
  peer.on('open', (own) => heard.opened.push(own));
  peer.on('error', (error) => heard.errors.push(error.type));
  peer.on('disconnected', () => { heard.disconnected += 1; });
  peer.on('connection', (connection) => {
    listen(connection);
    connection.on('open', () => connection.send({ from: peer.id, bytes: new Uint8Array([1, 2, 255]) }));
  });
  peer.on('call', (call) => { call.answer(stream); watch(call); });
  Object.assign(window, { heard, peer, stream, listen, watch });
}

const heard = (person) => person.page.evaluate(() => window.heard);

async function join({ open }, browser, name, id) {
  const person = await open(browser, suite.url, name);
  await person.page.route('**/peerjs.min.js', (route) => route.fulfill({ path: PEERJS, contentType: 'text/javascript' }));
  await person.page.addScriptTag({ url: '/peerjs.min.js' });
  await person.page.evaluate(start, id);
  await until(`${name} has an id`, async () => (await heard(person)).opened.length === 1);
  [person.id] = (await heard(person)).opened;
  return person;
}

scene('a data connection, both ways', async (cast) => {
  const ada = await join(cast, 0, 'Ada'), ben = await join(cast, 1, 'Ben', 'ben of peerjs');
  assert.match(ada.id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(ben.id, 'ben of peerjs');
  await ada.page.evaluate((to) => {
    const connection = window.peer.connect(to, { metadata: { round: 1.5 } });
    window.listen(connection);
    connection.on('open', () => connection.send('hello from ada'));
  }, ben.id);
  await until('Ben hears Ada', async () => (await heard(ben)).data[0] === 'hello from ada');
  await until('Ada hears Ben', async () => (await heard(ada)).data[0]?.from === ben.id);
  await ben.page.evaluate(() => window.peer.destroy());
  await until('Ada hears the end', async () => (await heard(ada)).closed === 1);
  for (const person of [ada, ben]) assert.deepEqual((await heard(person)).errors, []);
});

scene('a media call', async (cast) => {
  const ada = await join(cast, 0, 'Ada', 'ada-calls'), ben = await join(cast, 1, 'Ben', 'ben-answers');
  await ada.page.evaluate((to) => window.watch(window.peer.call(to, window.stream)), ben.id);
  await Promise.all([ada.seesFrames(), ben.seesFrames()]);
  for (const person of [ada, ben]) assert.ok((await heard(person)).streams >= 1, `${person.name} has a stream`);
});

scene('a peer that is not there, an id that is taken, and a new connection', async (cast) => {
  const ada = await join(cast, 0, 'Ada', 'ada-again');
  ada.expect(/Could not connect to peer|is taken/);
  await ada.page.evaluate(() => window.listen(window.peer.connect('nobody-at-all')));
  await until('Ada is told that nobody came', async () => (await heard(ada)).errors.includes('peer-unavailable'));

  const ben = await cast.open(1, suite.url, 'Ben');
  ben.expect(/is taken/);
  await ben.page.route('**/peerjs.min.js', (route) => route.fulfill({ path: PEERJS, contentType: 'text/javascript' }));
  await ben.page.addScriptTag({ url: '/peerjs.min.js' });
  await ben.page.evaluate(start, 'ada-again');
  await until('Ben is told that the id is taken', async () => (await heard(ben)).errors.includes('unavailable-id'));

  await ada.page.evaluate(() => { window.peer.disconnect(); window.peer.reconnect(); });
  await until('Ada has her id again', async () => (await heard(ada)).opened.length === 2);
  assert.deepEqual((await heard(ada)).opened, ['ada-again', 'ada-again']);
});
