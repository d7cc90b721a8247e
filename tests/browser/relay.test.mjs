// The same call forced through turnd: over UDP, TCP and TLS, and switched over while it goes on.

import assert from 'node:assert/strict';

import { CAMERA } from './lib/browser.mjs';
import { freshRoom, stage } from './lib/stage.mjs';
import { until } from './lib/wait.mjs';

const { suite, scene } = stage([CAMERA, CAMERA], { trusting: true });

// With a free choice among turnd's transports Chromium takes the pair that answered first, and may change to another later:
// `protocols` are those that will do, and the page has to name the one it is.
async function relayedCall(join, relay, protocols) {
  const room = freshRoom();
  const query = `save=1&relay=${relay}`;
  const ada = await join(0, room, 'Ada', { query });
  const ben = await join(1, room, 'Ben', { query });
  await ada.seesFrames();
  await ben.seesFrames();
  for (const person of [ada, ben]) {
    const { local, localTypes, relayProtocol } = await person.connection();
    assert.equal(local, 'relay');
    assert.deepEqual(localTypes, ['relay'], 'no other candidate was even gathered');
    assert.ok(protocols.includes(relayProtocol), `reached over ${relayProtocol}`);
    await person.seesPath(new RegExp(`^relayed over (${protocols.join('|').toUpperCase()})$`));
  }
  await ada.says('Through the relay');
  await ben.hears('Ada', 'Through the relay');
  await ben.says('And back');
  await ada.hears('Ben', 'And back');
  return { ada, ben };
}

scene('a forced relay carries the call, and turnd counts its bytes', async ({ join }) => {
  const counters = ['viaduct_turn_from_client_bytes_total', 'viaduct_turn_from_peer_bytes_total'];
  const before = await Promise.all(counters.map((name) => suite.turnCounter(name)));
  const { ada, ben } = await relayedCall(join, '1', ['udp', 'tcp', 'tls']);
  const [adas, bens] = [await ada.connection(), await ben.connection()];
  // Each end's packets go client -> relay -> other relay -> other client: turnd counts them once in each direction.
  // getStats counts payload bytes, without ICE checks; turnd has them too, so it may only have more.
  const sent = adas.sent + bens.sent;
  await until(`turnd counts at least the ${sent} bytes that the browsers sent`, async () => {
    const now = await Promise.all(counters.map((name) => suite.turnCounter(name)));
    return now.every((value, i) => value - before[i] >= sent * 0.95);
  });
});

for (const protocol of ['udp', 'tcp', 'tls']) {
  scene(`a relay reached over ${protocol.toUpperCase()} carries the call`, async ({ join }) => {
    await relayedCall(join, protocol, [protocol]);
  });
}

scene('the switch moves a call to the relay and back while it goes on', async ({ join }) => {
  const room = freshRoom();
  const ada = await join(0, room, 'Ada');
  const ben = await join(1, room, 'Ben');
  await Promise.all([ada.seesPath('direct'), ben.seesPath('direct')]);
  await ada.page.click('#path');
  await ada.page.click('#call-relay');
  await ada.seesPath(/^relayed over (UDP|TCP|TLS)$/);
  assert.equal((await ada.connection()).local, 'relay');
  await ben.seesPath(/^relayed over (UDP|TCP|TLS)$/); // his own end or hers: the page knows either way
  await Promise.all([ada.seesFrames(), ben.seesFrames()]);
  await ada.page.click('#call-relay');
  await ada.seesPath('direct');
  await Promise.all([ada.seesFrames(), ben.seesFrames()]);
  await ada.says('Still here');
  await ben.hears('Ada', 'Still here');
});
