// Calls by signal/client/viaduct.js, without a page of ours: media, data channels and crossing offers, over each transport.

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';

import { CAMERA } from './lib/browser.mjs';
import { freshRoom, stage } from './lib/stage.mjs';
import { until } from './lib/wait.mjs';

const { suite, scene } = stage([CAMERA, CAMERA]);
const CLIENT = fileURLToPath(new URL('../../signal/client/viaduct.js', import.meta.url));

/** In the page: a call with a small picture; what it hears is kept in window.heard. */
async function call({ room, transport, name }) {
  const { connect } = await import('/viaduct.js');
  const capture = () => navigator.mediaDevices.getUserMedia({ video: { width: 160, height: 120 } });
  const heard = { tracks: [], texts: [], left: [], troubles: [], transport: '' };
  const viaduct = connect(location.origin, { transports: [transport], pollEveryMs: 100 });
  viaduct.on('transport', (event) => { heard.transport = event.transport; });
  const ours = viaduct.call(room, { name, stream: await capture() });
  const listen = (channel) => { channel.onmessage = ({ data }) => heard.texts.push(data); };
  ours.on('track', ({ streams }) => heard.tracks.push(streams[0].id));
  ours.on('left', ({ reason }) => heard.left.push(reason));
  ours.on('trouble', ({ error }) => heard.troubles.push(String(error)));
  ours.on('channel', ({ channel }) => listen(channel));
  ours.on('peer', ({ connection }) => { window.connection = connection; });
  Object.assign(window, { heard, viaduct, ours, capture });
}

async function start({ open }, browser, name, room, transport) {
  const person = await open(browser, suite.url, name);
  await person.page.route('**/viaduct.js', (route) => route.fulfill({ path: CLIENT, contentType: 'text/javascript' }));
  await person.page.evaluate(call, { room, transport, name });
  return person;
}

const heard = (person) => person.page.evaluate(() => window.heard);

for (const [one, two] of [['websocket', 'sse'], ['longpoll', 'poll']]) {
  scene(`a call between ${one} and ${two}`, async (cast) => {
    const room = freshRoom();
    const ada = await start(cast, 0, 'Ada', room, one), ben = await start(cast, 1, 'Ben', room, two);
    await Promise.all([ada.seesFrames(), ben.seesFrames()]);
    assert.deepEqual([(await heard(ada)).transport, (await heard(ben)).transport], [one, two]);

    // Both offer at once, and not only once: a channel and another stream each.
    await Promise.all([ada, ben].map((person) => person.page.evaluate(async () => {
      const channel = window.connection.createDataChannel('chat');
      channel.onopen = () => channel.send(`from ${window.viaduct.peer}`);
      window.ours.addStream(await window.capture());
    })));
    for (const person of [ada, ben]) {
      await until(`${person.name} has the other's channel and both streams`, async () => {
        const { texts, tracks } = await heard(person);
        return texts.length === 1 && new Set(tracks).size === 2;
      });
    }

    await ben.page.evaluate(() => window.ours.leave());
    await until('Ada hears that Ben has left', async () => (await heard(ada)).left.length === 1);
    for (const person of [ada, ben]) assert.deepEqual((await heard(person)).troubles, []);
  });
}
