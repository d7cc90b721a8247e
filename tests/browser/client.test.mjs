// Calls by signal/client/viaduct.js, without a page of ours: media, data channels and crossing offers, over each transport.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

import { CAMERA } from './lib/browser.mjs';
import { freshRoom, stage } from './lib/stage.mjs';
import { until } from './lib/wait.mjs';

const { suite, scene } = stage([CAMERA, CAMERA]);

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

/** The text of the document that has a call in it, as it stands. */
async function example(document) {
  const text = await readFile(new URL(`../../${document}`, import.meta.url), 'utf8');
  const found = [...text.matchAll(/^```js\n([^]*?)^```$/mg)].map(([, code]) => code).filter((code) => code.includes('.call('));
  assert.equal(found.length, 1, `${document} has one example of a call`);
  return found[0];
}

/** In a page of the server's, in the place of that page's own script. */
async function openExample({ open }, browser, name, code) {
  const person = await open(browser, 'about:blank', name);
  const script = (pattern, body) => person.page.route(pattern, (route) => route.fulfill({ contentType: 'text/javascript', body }));
  await script('**/js/main.js', "import '/example.js';");
  await script('**/example.js', code);
  await person.page.goto(suite.url);
  return person;
}

for (const [document, hasChat] of [['README.md', false], ['signal/client/README.md', true]]) {
  scene(`the call in ${document}, as it stands there`, async (cast) => {
    const code = await example(document);
    if (!hasChat) assert.ok(code.trim().split('\n').length <= 20, 'a call in twenty lines');
    const ada = await openExample(cast, 0, 'Ada', code), ben = await openExample(cast, 1, 'Ben', code);
    await Promise.all([ada.seesFrames(), ben.seesFrames()]);
    for (const { page, name } of [ada, ben]) {
      await until(`${name} sees the other move`, () => page.evaluate(() => (
        document.querySelectorAll('body > video').length === 1 && document.querySelector('body > video').currentTime > 0)));
      if (hasChat) await until(`${name} is greeted`, async () => (await page.innerText('body')).includes('Hello!'));
    }
    await ben.page.goto('about:blank');
    await until('the picture of who has left goes away', async () => (await ada.page.locator('body > video').count()) === 0);
  });
}
