// The call through a turnd that has one open port, TCP, and no UDP socket at all: relay-mode=virtual.

import assert from 'node:assert/strict';

import { CAMERA } from './lib/browser.mjs';
import { freshRoom, stage } from './lib/stage.mjs';
import { until } from './lib/wait.mjs';

const { suite, scene } = stage([CAMERA, CAMERA], { turnd: ['relay-mode=virtual', 'no-udp', 'no-tls', 'no-dtls', 'relay-threads=2'] });

async function assertOnePort() {
  assert.deepEqual(await suite.socketsOf('turnd', 'udp'), [], 'turnd has UDP sockets');
  // The page, the metrics and the control socket are no clients' business.
  const open = (await suite.socketsOf('turnd', 'tcp')).filter(({ port, listening }) => listening && port !== suite.metricsPort);
  assert.deepEqual([...new Set(open.map(({ port }) => port))], [suite.turnPort]);
}

scene('both ends relayed, over a single TCP port', async ({ join }) => {
  const room = freshRoom();
  const query = 'save=1&relay=tcp'; // iceTransportPolicy: 'relay', turn:...?transport=tcp alone
  const ada = await join(0, room, 'Ada', { query });
  const ben = await join(1, room, 'Ben', { query });
  await Promise.all([ada.seesFrames(), ben.seesFrames()]);
  for (const person of [ada, ben]) {
    const { local, localTypes, relayProtocol } = await person.connection();
    assert.equal(local, 'relay');
    assert.deepEqual(localTypes, ['relay'], 'no other candidate was even gathered');
    assert.equal(relayProtocol, 'tcp');
    await person.seesPath('relayed over TCP');
  }
  await assertOnePort();
  const inside = await suite.turnCounter('viaduct_turn_relayed_inside_total');
  await Promise.all([ada.seesFrames(), ben.seesFrames()]); // it goes on
  await assertOnePort();
  await until('turnd counts what went through it', async () => (
    await suite.turnCounter('viaduct_turn_relayed_inside_total') > inside));
  await ada.says('Through one port');
  await ben.hears('Ada', 'Through one port');
  await ben.says('And back');
  await ada.hears('Ben', 'And back');
});

scene('who is not relayed as well hears no from it, and nobody loses his relay by that', async ({ join }) => {
  const room = freshRoom();
  // Ada offers host candidates too, for which Ben's browser asks permission of his relay: 403, and that pair is given up.
  const ada = await join(0, room, 'Ada', { query: 'save=1' });
  const ben = await join(1, room, 'Ben', { query: 'save=1&relay=tcp' });
  await Promise.all([ada.seesFrames(), ben.seesFrames()]);
  assert.equal((await ben.connection()).local, 'relay');
  assert.equal((await ada.connection()).local, 'relay', 'nothing else reaches his relayed address');
  assert.ok(await suite.turnCounter('viaduct_turn_refused_total{reason="peer-denied"}') > 0);
  await assertOnePort();
});
