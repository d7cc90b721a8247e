// Calls by Ayame's own Web SDK from npm, as it is: its media, its data channels, its standalone mode.

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';

import { CAMERA } from './lib/browser.mjs';
import { freshRoom, stage } from './lib/stage.mjs';
import { until } from './lib/wait.mjs';

const { suite, scene } = stage([CAMERA, CAMERA]);
const SDK = fileURLToPath(new URL('node_modules/@open-ayame/ayame-web-sdk/dist/ayame.mjs', import.meta.url));

/** In the page: a call with a small picture; what it is told is kept in window.heard. */
async function call({ url, room, options }) {
  const { createConnection, defaultOptions } = await import('/ayame.mjs');
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 160, height: 120 } });
  const connection = createConnection(url, room, { ...defaultOptions, ...options });
  const heard = { opened: 0, texts: [], streams: 0, byes: 0, disconnected: [] };
  const listen = (channel) => { channel.onmessage = ({ data }) => heard.texts.push(data); };
  connection.on('open', async () => {
    heard.opened += 1;
    const channel = await connection.createDataChannel('chat'); // null with whoever came first
    if (!channel) return;
    listen(channel);
    channel.onopen = () => channel.send('from the second');
  });
  connection.on('datachannel', (channel) => {
    listen(channel);
    channel.send('from the first');
  });
  connection.on('addstream', () => { heard.streams += 1; });
  connection.on('bye', () => { heard.byes += 1; });
  connection.on('disconnect', ({ reason }) => heard.disconnected.push(reason));
  Object.assign(window, { heard, connection });
  await connection.connect(stream).catch((error) => heard.disconnected.push(String(error)));
}

const heard = (person) => person.page.evaluate(() => window.heard);
const iceServers = (person) => person.page.evaluate(() => window.connection.pcConfig.iceServers);

async function start({ open }, browser, name, room, options = {}) {
  const person = await open(browser, suite.url, name);
  await person.page.route('**/ayame.mjs', (route) => route.fulfill({ path: SDK, contentType: 'text/javascript' }));
  await person.page.evaluate(call, { url: `${suite.url.replace('http', 'ws')}/ayame`, room, options });
  return person;
}

async function talk(first, second) {
  await Promise.all([first.seesFrames(), second.seesFrames()]);
  await until('both hear the other', async () => (
    (await heard(first)).texts[0] === 'from the second' && (await heard(second)).texts[0] === 'from the first'));
  for (const person of [first, second]) assert.equal((await heard(person)).streams, 1);
}

scene('a call of two, with the servers of accept; a third is told that it is full; a bye ends it', async (cast) => {
  const room = freshRoom();
  const ada = await start(cast, 0, 'Ada', room), ben = await start(cast, 1, 'Ben', room);
  await talk(ada, ben);
  const [{ urls, username, credential }] = (await iceServers(ada)).filter((server) => server.credential);
  assert.ok(urls.some((url) => url.startsWith('turn:')) && username && credential);

  const cleo = await start(cast, 1, 'Cleo', room);
  await until('Cleo is refused', async () => (await heard(cleo)).disconnected.includes('full'));

  await ben.page.evaluate(() => window.connection.disconnect());
  await until('Ada hears it', async () => (await heard(ada)).byes === 1);
  await until('and is let go, so that the room is free', async () => (await heard(ada)).disconnected.includes('WS-CLOSED'));
  const dan = await start(cast, 0, 'Dan', room);
  await until('Dan is the first in it', async () => (await heard(dan)).opened === 1);
  assert.equal(await dan.page.evaluate(() => window.connection.isExistUser), false);
});

scene('standalone: the call goes on without the server', async (cast) => {
  const room = freshRoom();
  const ada = await start(cast, 0, 'Ada', room, { standalone: true }), ben = await start(cast, 1, 'Ben', room, { standalone: true });
  await talk(ada, ben);
  for (const person of [ada, ben]) await until('it has left the server', () => person.page.evaluate(() => window.connection.ws === null));
  await Promise.all([ada.seesFrames(), ben.seesFrames()]);
  for (const person of [ada, ben]) {
    const { byes, disconnected } = await heard(person);
    assert.deepEqual([byes, disconnected], [0, []]);
  }
});
