// What can go wrong for one person: each trouble says what happened and what to do.

import assert from 'node:assert/strict';

import { startProxy } from '../client/lib.mjs';
import { CAMERA, CAMERA_DENIED, NO_CAMERA } from './lib/browser.mjs';
import { freshRoom, stage } from './lib/stage.mjs';
import { until } from './lib/wait.mjs';

const PLAIN_HOST = 'plain.example';
const { suite, scene } = stage([
  CAMERA, CAMERA_DENIED, NO_CAMERA, [...CAMERA, `--host-resolver-rules=MAP ${PLAIN_HOST} 127.0.0.1`],
]);

async function troubleOf(person) {
  await until('the page names the trouble', () => person.page.isVisible('#media-trouble'));
  return person.page.innerText('#media-trouble');
}

scene('a fifth person is told that the room is full', async ({ join, open }) => {
  const room = freshRoom();
  const first = [];
  // Without cameras: four pages that only watch cost little.
  for (const name of ['Ada', 'Ben', 'Cleo', 'Dan']) first.push(await join(1, room, name));
  await Promise.all(first.map((person) => person.seesPeople(4)));
  const eve = await open(1, `${suite.url}/r/${room}`, 'Eve');
  await eve.page.click('#join-button');
  await eve.page.waitForSelector('#stop:not([hidden])');
  const text = await eve.page.innerText('#stop');
  assert.match(text, /This room is full/);
  assert.match(text, /Try again when somebody has left, or start a room of your own/);
  await Promise.all(first.map((person) => person.seesPeople(4)));

  // When somebody leaves, there is room.
  await first[3].page.click('#leave');
  await first[0].seesPeople(3);
  await eve.page.click('#stop-retry');
  await eve.page.waitForSelector('#join:not([hidden])');
  await eve.enter();
  await first[0].seesPeople(4);
});

scene('a denied camera: what to do, and the call works all the same', async ({ join, open }) => {
  const room = freshRoom();
  const ada = await join(0, room, 'Ada');
  const ben = await open(1, `${suite.url}/r/${room}?save=1`, 'Ben');
  const text = await troubleOf(ben);
  assert.match(text, /Camera and microphone are blocked/);
  assert.match(text, /allow both for this page, and try again/);
  await ben.enter();
  await ben.seesFrames(); // receives only
  await ada.seesPeople(2);
  await ada.says('Can you see me?');
  await ben.hears('Ada', 'Can you see me?');
  assert.equal(await ada.page.getAttribute('.tile[aria-label="Ben"]', 'data-picture'), 'none');
});

scene('a missing camera: the microphone is enough', async ({ join, open }) => {
  const room = freshRoom();
  const ada = await join(0, room, 'Ada');
  const ben = await open(2, `${suite.url}/r/${room}?save=1`, 'Ben');
  const text = await troubleOf(ben);
  assert.match(text, /Joining without a camera/);
  assert.match(text, /No camera was found: plug one in/);
  await ben.enter();
  await ben.seesFrames();
  await until('Ada hears Ben', async () => (await ada.connection()).audioBytes > 0);
});

scene('plain HTTP from elsewhere: says to use https', async ({ open }) => {
  const ada = await open(3, `http://${PLAIN_HOST}:${suite.httpPort}/`, 'Ada');
  const text = await troubleOf(ada);
  assert.match(text, /No camera or microphone over plain HTTP/);
  assert.match(text, /https/);
});

scene('a browser without WebRTC: says which one to take', async ({ open }) => {
  const ada = await open(0, 'about:blank', 'Ada');
  await ada.page.addInitScript(() => { delete window.RTCPeerConnection; });
  await ada.page.goto(`${suite.url}/`);
  assert.match(await ada.page.innerText('#stop'), /This browser cannot make calls/);
  assert.match(await ada.page.innerText('#stop'), /Chrome, Firefox, Safari or Edge/);
});

scene('a network that breaks WebSocket and streams: the call is there, and the page says how it gets through', async ({ join, open }) => {
  const room = freshRoom(), proxy = await startProxy(suite.httpPort);
  for (const what of ['websocket', 'stream']) proxy.broken.add(what);
  try {
    const ada = await join(0, room, 'Ada');
    const ben = await open(0, `${proxy.url}r/${room}?save=1`, 'Ben');
    ben.expect(/WebSocket connection to .* failed/);
    await ben.enter();
    await Promise.all([ada.seesFrames(), ben.seesFrames()]);
    for (const [person, words] of [[ada, 'WebSocket'], [ben, 'long polling']]) {
      await person.page.click('#path');
      await until(`${person.name}'s page names the transport`, async () => (
        (await person.page.innerText('#server-transport')).startsWith(`To the server: ${words}`)));
    }
    await ada.page.click('#leave');
    await ben.seesPeople(1, 5_000);
  } finally {
    proxy.stop();
  }
});
