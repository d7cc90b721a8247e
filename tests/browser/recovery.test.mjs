// Servers that die under a call, and connections that break: the call recovers, and nobody reloads the page.

import assert from 'node:assert/strict';

import { CAMERA } from './lib/browser.mjs';
import { SERVER_AWAY } from './lib/person.mjs';
import { freshRoom, stage } from './lib/stage.mjs';
import { until } from './lib/wait.mjs';

const { suite, scene } = stage([CAMERA, CAMERA]);

scene('a lost WebSocket is resumed, and the call does not notice', async ({ join }) => {
  const room = freshRoom();
  const ada = await join(0, room, 'Ada');
  const ben = await join(1, room, 'Ben');
  await Promise.all([ada.seesFrames(), ben.seesFrames()]);
  await ada.page.evaluate(() => window.viaductTest.sockets.at(-1).close());
  await until('the session is resumed', () => ada.welcomes.length === 2);
  assert.deepEqual(ada.welcomes, [false, true]);
  await ada.seesFrames();
  // What only works with signalling in both directions: another path.
  await ada.page.click('#path');
  await ada.page.click('#call-relay');
  await ada.seesPath(/^relayed over (UDP|TCP)$/);
  await Promise.all([ada.seesFrames(), ben.seesFrames()]);
  assert.equal(await ben.page.locator('.tile').count(), 2);
});

scene('kill -9 turnd under a relayed call: the call recovers', async ({ join }) => {
  const room = freshRoom();
  const query = 'save=1&relay=1';
  const ada = await join(0, room, 'Ada', { query });
  const ben = await join(1, room, 'Ben', { query });
  await Promise.all([ada.seesFrames(), ben.seesFrames()]);
  await suite.kill('turnd');
  await until('the browsers miss the relay', async () => (await ada.connection()).ice === 'disconnected');
  await ada.seesFrames({ withinMs: 20_000 });
  await ben.seesFrames({ withinMs: 20_000 });
  assert.equal((await ada.connection()).local, 'relay');
  await ada.says('There we are again');
  await ben.hears('Ada', 'There we are again');
});

scene('kill -9 signald under a call: the call goes on, and the room comes back', async ({ join }) => {
  const room = freshRoom();
  const ada = await join(0, room, 'Ada');
  const ben = await join(1, room, 'Ben');
  await Promise.all([ada.seesFrames(), ben.seesFrames()]);
  for (const person of [ada, ben]) person.expect(SERVER_AWAY);
  const mark = () => ada.page.evaluate(() => { window.viaductTest.marked = window.viaductTest.connections.at(-1); });
  await mark();

  await suite.kill('signald');
  await until('both have a new session', () => ada.welcomes.length > 1 && ben.welcomes.length > 1);
  assert.equal(ada.welcomes.at(-1), false, 'the new server cannot know the old session');
  await Promise.all([ada.seesFrames(), ben.seesFrames()]);
  assert.equal(await ada.page.evaluate(() => window.viaductTest.connections.length === 1
    && window.viaductTest.connections[0] === window.viaductTest.marked), true, 'the connection is the one from before');

  await ben.page.click('#mic');
  await ada.seesMuted('Ben', true);
  await ben.says('You did not even see it');
  await ada.hears('Ben', 'You did not even see it');

  const cleo = await join(1, room, 'Cleo');
  await Promise.all([ada, ben, cleo].map((person) => person.seesPeople(3)));
  await cleo.seesFrames({ count: 2 });
  await ada.seesFrames({ count: 2 });
});

scene('a server that is away is said, counted down, and found again', async ({ join, open }) => {
  const room = freshRoom();
  const ada = await join(0, room, 'Ada');
  const ben = await open(1, `${suite.url}/r/${room}?save=1`, 'Ben');
  for (const person of [ada, ben]) person.expect(SERVER_AWAY);
  await suite.interrupt();
  await until('the page of the call says it', async () => (
    /The server is away\. Your call goes on\. Trying again in \d+ s\./.test(await ada.page.innerText('#away'))));
  await until('the page before the call says it, and has a button to try at once', async () => (
    /The server does not answer\. Trying again in \d+ s\./.test(await ben.page.innerText('#join-server'))
    && ben.page.isVisible('#join-server-retry'))); // while it tries there is nothing to press
  await suite.restart();
  await ben.enter();
  await until('the notice goes away', async () => !(await ada.page.isVisible('#away')));
  await Promise.all([ada.seesFrames(), ben.seesFrames()]);
});
