// signal/client/viaduct.js under Node.js against the real server, behind a proxy that breaks WebSocket, then streams,
// then long requests.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { after, test as nodeTest } from 'node:test';

import { connect } from '../../signal/client/viaduct.js';
import { NodeWebSocket, startProxy, startSignald } from './lib.mjs';

const signald = await startSignald('--max-address-message-rate=0', '--max-message-rate=0');
const cleanups = [];
after(async () => {
  for (const cleanup of cleanups) cleanup();
  await signald.stop();
});

const PATIENCE_MS = 15_000;
const test = (name, body) => nodeTest(name, { timeout: 60_000 }, body);

/** The next event of that type for which `holds`. */
function next(viaduct, type, holds = () => true) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${type} in time`)), PATIENCE_MS);
    const off = viaduct.on(type, (event) => {
      if (!holds(event)) return;
      clearTimeout(timer);
      off();
      resolve(event);
    });
  });
}

async function proxied(...broken) {
  const proxy = await startProxy(signald.port);
  for (const what of broken) proxy.broken.add(what);
  cleanups.push(() => proxy.stop());
  return proxy;
}

function client(proxy, options = {}) {
  const viaduct = connect(proxy.url, { WebSocket: NodeWebSocket, openWithinMs: 800, pollEveryMs: 30, backoffMs: 20, ...options });
  cleanups.push(() => viaduct.close());
  return viaduct;
}

let rooms = 0;

/** Two of them in a room of their own. */
async function pair(a, b) {
  const room = `room ${(rooms += 1)}`;
  const joined = next(a, 'joined'), other = next(a, 'peer-joined');
  a.join(room, { name: 'Ada' });
  await joined;
  b.join(room);
  return { room, peer: (await other).peer };
}

for (const [broken, transport] of [[[], 'websocket'], [['websocket'], 'sse'], [['websocket', 'stream'], 'longpoll'], [['websocket', 'stream', 'long'], 'poll']]) {
  test(`finds ${transport} where ${broken.join(', ') || 'nothing'} is broken`, async () => {
    const proxy = await proxied(...broken), straight = await proxied();
    const a = client(proxy), b = client(straight);
    const settled = next(a, 'transport', (event) => event.transport === transport);
    const { room, peer } = await pair(a, b);
    const came = next(b, 'signal');
    await a.signal(room, peer, { sdp: 'offer' });
    assert.deepEqual((await came).data, { sdp: 'offer' });
    const answer = next(a, 'signal');
    await b.signal(room, a.peer, { sdp: 'answer' });
    assert.deepEqual((await answer).data, { sdp: 'answer' });
    await settled;
    assert.equal(a.transport, transport);
    assert.equal(b.transport, 'websocket');
  });
}

test('climbs when the better ones work again', async () => {
  const proxy = await proxied('websocket', 'stream', 'long'), straight = await proxied();
  const a = client(proxy, { climbAfterMs: 200 }), b = client(straight);
  if (a.transport !== 'poll') await next(a, 'transport', (event) => event.transport === 'poll');
  const { room } = await pair(a, b);
  const up = next(a, 'transport', (event) => event.transport === 'websocket');
  const got = [];
  a.on('broadcast', ({ data }) => got.push(data));
  proxy.broken.clear();
  const sent = [];
  for (let n = 0; n < 200; n += 1) sent.push(b.broadcast(room, n));
  await up;
  for (let n = 200; n < 250; n += 1) sent.push(b.broadcast(room, n));
  await Promise.all(sent);
  while (got.length < 250) await next(a, 'broadcast');
  assert.deepEqual(got, Array.from({ length: 250 }, (_, n) => n));
});

for (const transport of ['websocket', 'sse', 'longpoll', 'poll']) {
  test(`loses, repeats and reorders nothing over ${transport} when the network comes and goes`, async () => {
    const proxy = await proxied(), straight = await proxied();
    const a = client(proxy, { transports: [transport] }), b = client(straight);
    const { room, peer } = await pair(a, b);
    const here = [], there = [];
    a.on('broadcast', ({ data }) => here.push(data));
    b.on('signal', ({ data }) => there.push(data));
    const sent = [];
    for (let n = 0; n < 120; n += 1) {
      sent.push(b.broadcast(room, n), a.signal(room, peer, n));
      if (n % 40 === 20) proxy.cut();
      if (n === 50) proxy.broken.add('all');
      if (n === 90) proxy.broken.delete('all');
      await new Promise((resolve) => { setTimeout(resolve, 2); });
    }
    await Promise.all(sent);
    while (here.length < 120) await next(a, 'broadcast');
    const all = Array.from({ length: 120 }, (_, n) => n);
    assert.deepEqual(here, all);
    assert.deepEqual(there, all);
  });
}

test('tells of a peer that is not there at once', async () => {
  const proxy = await proxied('websocket');
  const a = client(proxy), joined = next(a, 'joined');
  a.join('alone');
  await joined;
  await assert.rejects(a.signal('alone', 'nobody', 1), { code: 'no-such-peer' });
});

test('stops where another one has taken over', async () => {
  for (const transports of [['websocket'], ['sse'], ['longpoll']]) {
    const a = client(await proxied(), { transports });
    await next(a, 'state', ({ state }) => state === 'open');
    const closed = next(a, 'state', ({ state }) => state === 'closed');
    const thief = client(await proxied());
    await next(thief, 'state', ({ state }) => state === 'open');
    const resume = { ...a.session, after: 0 };
    await new Promise((resolve) => { setTimeout(resolve, 50); }); // long polling has to be waiting to be told
    await fetch(`http://127.0.0.1:${signald.port}/v1/session`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ type: 'hello', resume }),
    });
    assert.equal((await closed).reason, 'taken-over');
  }
});

test('begins anew, and joins again, when its session is gone', async () => {
  const a = client(await proxied('websocket')), joined = next(a, 'joined');
  a.join('again');
  await joined;
  const fresh = next(a, 'session', (event) => event.fresh), again = next(a, 'joined');
  await fetch(`http://127.0.0.1:${signald.port}/v1/messages`, {
    method: 'POST', headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${a.session.key}` }, body: '{"type":"bye"}',
  });
  await fresh;
  await again;
});

test('leaves and joins without a connection, for the others to see when it is back', async () => {
  const proxy = await proxied(), a = client(proxy), b = client(await proxied());
  const { room, peer } = await pair(a, b);
  const waiting = next(a, 'state', ({ state }) => state === 'waiting');
  proxy.broken.add('all');
  proxy.cut();
  await waiting;
  const left = next(b, 'peer-left'), joined = next(a, 'joined', (event) => event.room === 'elsewhere');
  a.leave(room);
  a.join('elsewhere');
  proxy.broken.clear();
  assert.equal((await left).reason, 'leave');
  await joined;
  await assert.rejects(a.signal(room, peer, 1), { code: 'not-in-room' });
});

for (const transport of ['websocket', 'sse', 'poll']) {
  test(`a leave that is lost with its connection is said again, over ${transport}`, async () => {
    const proxy = await proxied(), straight = await proxied();
    const a = client(proxy, { transports: [transport] }), b = client(straight), errors = [];
    a.on('error', (error) => errors.push(error));
    const { room, peer } = await pair(b, a);
    proxy.broken.add('deaf'); // what a says from here on is lost
    a.leave(room);
    await new Promise((resolve) => setImmediate(resolve));
    const seen = next(b, 'peer-left');
    proxy.broken.delete('deaf');
    proxy.cut();
    assert.deepEqual(await seen, { ...(await seen), peer, reason: 'leave' });
    // One that was heard, though the connection broke before it was known, is no error to anybody.
    const again = next(b, 'peer-joined'), gone = next(b, 'peer-left');
    a.join(room);
    await again;
    a.leave(room);
    await gone;
    proxy.cut();
    if (transport !== 'poll') await next(a, 'state', ({ state }) => state === 'open'); // polls are not torn by it
    await a.iceServers({ fresh: true });
    assert.deepEqual(errors, []);
  });
}

test('bounds what it keeps', async () => {
  const proxy = await proxied('all');
  const a = client(proxy, { queue: 3 });
  const kept = [1, 2, 3].map((n) => a.broadcast('nowhere', n));
  await assert.rejects(a.broadcast('nowhere', 4), { code: 'queue-full' });
  a.close();
  for (const promise of kept) await assert.rejects(promise, { code: 'closed' });
});

test('doubles nothing however much was on its way', async () => {
  const proxy = await proxied(), a = client(proxy, { transports: ['websocket'] }), b = client(await proxied());
  const { room } = await pair(a, b);
  const got = [], all = Array.from({ length: 400 }, (_, n) => n);
  b.on('broadcast', ({ data }) => got.push(data));
  proxy.broken.add('back'); // a does not hear what has been delivered
  const sent = all.map((n) => a.broadcast(room, n));
  for (let before = -1; got.length === 0 || got.length > before;) {
    before = got.length;
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
  proxy.broken.delete('back');
  proxy.cut();
  await Promise.all(sent);
  const last = next(b, 'broadcast', ({ data }) => data === 'last');
  await a.broadcast(room, 'last'); // behind whatever was sent twice
  await last;
  assert.deepEqual(got, [...all, 'last']);
});

test('brings many large messages in several requests', async () => {
  const proxy = await proxied(), a = client(proxy, { transports: ['sse'] }), b = client(await proxied());
  const { room } = await pair(a, b);
  const asked = proxy.seen.filter((what) => what === 'GET /v1/events').length;
  await Promise.all(Array.from({ length: 60 }, () => a.broadcast(room, 'x'.repeat(12_000))));
  assert.equal(proxy.seen.filter((what) => what === 'GET /v1/events').length, asked, 'the stream broke');
});

test('refuses what is larger than the server takes, and goes on', async () => {
  for (const transports of [['websocket'], ['poll']]) {
    const a = client(await proxied(), { transports }), b = client(await proxied());
    const { room } = await pair(a, b);
    await assert.rejects(a.broadcast(room, '\u00e9'.repeat(40_000)), { code: 'too-large' });
    await a.broadcast(room, 'small');
  }
});

test('keeps what is said before there is a session', async () => {
  const a = client(await proxied());
  a.join('early');
  await a.broadcast('early', 1);
});

test('stays closed when it is closed while it connects', async () => {
  const proxy = await proxied();
  for (const wait of [0, 1, 3, 10]) {
    for (const transports of [['websocket'], ['sse'], ['poll']]) {
      const states = [], a = client(proxy, { transports });
      a.on('state', ({ state }) => states.push(state));
      if (wait > 0) await new Promise((resolve) => { setTimeout(resolve, wait); });
      a.close();
      const then = states.length;
      await new Promise((resolve) => { setTimeout(resolve, 150); });
      assert.equal(a.state, 'closed');
      assert.equal(states.length, then);
    }
  }
});

test('says that it goes while something else is on its way', async () => {
  const a = client(await proxied(), { transports: ['sse'] }), b = client(await proxied());
  const { room } = await pair(a, b);
  const left = next(b, 'peer-left');
  for (let n = 0; n < 5; n += 1) a.broadcast(room, n);
  a.close();
  assert.equal((await left).reason, 'bye');
});

test('waits as long as it is told to', async () => {
  const asked = [];
  const server = http.createServer((request, response) => {
    const what = `${request.method} ${request.url.replace(/\?.*/, '')}`;
    asked.push(what);
    request.resume();
    if (what === 'GET /v1/events') {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      return response.write(':\n\n');
    }
    response.writeHead(what === 'POST /v1/session' ? 201 : 429, { 'Content-Type': 'application/json' });
    response.end(what === 'POST /v1/session'
      ? '{"type":"welcome","session":"s","key":"k","peer":"p","resumed":false}'
      : '{"type":"error","code":"rate-limited","message":"later","retryAfter":60}');
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  cleanups.push(() => server.closeAllConnections());
  cleanups.push(() => server.close());
  const a = client({ url: `http://127.0.0.1:${server.address().port}/` }, { transports: ['sse', 'longpoll', 'poll'] });
  a.join('full');
  const { retryAt } = await next(a, 'state', ({ state }) => state === 'waiting');
  assert.ok(retryAt > Date.now() + 50_000);
  await new Promise((resolve) => { setTimeout(resolve, 100); });
  assert.deepEqual(asked, ['POST /v1/session', 'GET /v1/events', 'POST /v1/messages']);
});

/** A server that opens a session and says over an event stream what the test hands to `say`; what it is told is in `heard`. */
async function scripted() {
  const heard = [];
  let stream, seq = 0;
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (request.url.startsWith('/v1/events')) {
      stream = response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      return stream.write(':\n\n');
    }
    const isSession = request.url === '/v1/session';
    if (!isSession) heard.push(...JSON.parse(Buffer.concat(chunks)));
    response.writeHead(isSession ? 201 : 202, { 'Content-Type': 'application/json' });
    response.end(isSession ? '{"type":"welcome","session":"s","key":"k","peer":"us","resumed":false,"iceServers":[],"iceTtl":600}' : '{"accepted":1}');
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  cleanups.push(() => { server.closeAllConnections(); server.close(); });
  const say = (message) => { seq += 1; stream.write(`data: ${JSON.stringify({ seq, ...message })}\n\n`); };
  return { url: `http://127.0.0.1:${server.address().port}/`, heard, say };
}

/** As much of the browsers' class as a call in which nobody speaks needs. */
class SilentConnection {
  signalingState = 'stable';
  iceConnectionState = 'new';
  currentLocalDescription = null;

  close() {
    this.signalingState = 'closed';
  }
}

/** A call by a scripted server with one other, who has the page `instance`. */
async function silentCall(instance) {
  globalThis.RTCPeerConnection = SilentConnection;
  const server = await scripted(), viaduct = client(server, { transports: ['sse'] });
  await next(viaduct, 'transport');
  const call = viaduct.call('quiet', { name: 'Ada' }), met = next(call, 'connection');
  server.say({ type: 'joined', room: 'quiet', peers: [{ peer: 'them', name: 'Ben', meta: { instance }, polite: true }] });
  const { connection } = await met;
  return { server, viaduct, call, connection };
}

test('goes on when the application throws', async () => {
  const thrown = [], original = globalThis.queueMicrotask; // where what was thrown goes on to nobody in particular
  globalThis.queueMicrotask = (action) => original(() => {
    try {
      action();
    } catch (error) {
      thrown.push(error.message);
    }
  });
  try {
    for (const transports of [['websocket'], ['sse'], ['longpoll'], ['poll']]) {
      const a = client(await proxied(), { transports }), b = client(await proxied());
      const { room } = await pair(a, b);
      const states = [], got = [];
      a.on('state', ({ state }) => states.push(state));
      a.on('broadcast', () => { throw new Error('of the application'); });
      a.on('broadcast', ({ data }) => got.push(data));
      await b.broadcast(room, 1);
      await b.broadcast(room, 2);
      while (got.length < 2) await next(a, 'broadcast');
      await new Promise((resolve) => { setImmediate(resolve); });
      assert.deepEqual([got, states, thrown.splice(0)], [[1, 2], [], ['of the application', 'of the application']]);
      assert.equal(a.transport, transports[0]);
    }
  } finally {
    globalThis.queueMicrotask = original;
  }
});

test('a member who is kicked has left the call', async () => {
  const { server, call, connection } = await silentCall('page');
  const left = next(call, 'left'), ended = next(call, 'ended');
  server.say({ type: 'peer-left', room: 'quiet', peer: 'us', reason: 'kicked' });
  assert.deepEqual(await left, { peer: 'them', reason: 'kicked' });
  assert.deepEqual(await ended, { reason: 'kicked' });
  assert.equal(call.peers.size, 0);
  while (connection.signalingState !== 'closed') await new Promise((resolve) => { setTimeout(resolve, 20); });
  // And it is really out: who comes later is not met.
  call.on('peer', () => assert.fail('the call goes on'));
  server.say({ type: 'peer-joined', room: 'quiet', peer: 'other', name: null, meta: null, polite: true });
  server.say({ type: 'broadcast', room: 'quiet', from: 'other', data: 1 });
  await next(call.viaduct, 'broadcast');
});

test('a page that comes back under another id keeps its connection, and nobody takes the place of somebody present', async () => {
  const { server, call, connection } = await silentCall('page');
  const met = next(call, 'connection');
  server.say({ type: 'peer-joined', room: 'quiet', peer: 'thief', name: null, meta: { instance: 'page' }, polite: true });
  assert.equal((await met).peer, 'thief', 'it is somebody else while he is there');
  const lost = next(call, 'lost'), back = next(call, 'back');
  server.say({ type: 'peer-left', room: 'quiet', peer: 'them', reason: 'timeout' });
  assert.deepEqual(await lost, { peer: 'them' });
  server.say({ type: 'peer-joined', room: 'quiet', peer: 'anew', name: 'Ben', meta: { instance: 'page' }, polite: false });
  assert.deepEqual(await back, { peer: 'anew', before: 'them' });
  assert.equal(call.peers.get('anew').connection, connection);
  assert.deepEqual([...call.peers.keys()].sort(), ['anew', 'thief']);
  const join = server.heard.find(({ type }) => type === 'join');
  assert.match(join.meta.instance, /^[0-9a-f]{18}$/);
});

test('meets no more than it is to', async () => {
  const { server, call } = await silentCall('page');
  call.options.mostPeers = 1;
  call.on('peer', ({ peer }) => assert.notEqual(peer, 'third'));
  server.say({ type: 'peer-joined', room: 'quiet', peer: 'third', name: null, meta: null, polite: true });
  const lost = next(call, 'lost'), left = next(call, 'left'), met = next(call, 'peer');
  server.say({ type: 'peer-left', room: 'quiet', peer: 'them', reason: 'timeout' });
  await lost;
  server.say({ type: 'peer-joined', room: 'quiet', peer: 'fourth', name: null, meta: null, polite: true });
  assert.equal((await left).peer, 'them', 'who is lost makes room');
  assert.equal((await met).peer, 'fourth');
});

test('goes elsewhere when it is told to', async () => {
  const { server, viaduct } = await silentCall('page'), other = await scripted();
  const opened = next(viaduct, 'state', ({ state }) => state === 'open');
  server.say({ type: 'drain', seconds: 5 }); // stays for as long as it can
  server.say({ type: 'drain', seconds: 5, url: other.url });
  await opened;
  assert.equal(viaduct.base.href, other.url);
});

test('the example of the README does what it says', async () => {
  const readme = await readFile(new URL('../../signal/client/README.md', import.meta.url), 'utf8');
  const [, example] = /^```js\n([^]*?)^```$/m.exec(readme);
  const module = `${new URL('../../signal/client/viaduct.js', import.meta.url)}`;
  const text = example.replace('./viaduct.js', module).replace('https://call.example.org', `http://127.0.0.1:${signald.port}`);
  assert.notEqual(text, example);
  const said = [], original = console.log;
  console.log = (...words) => said.push(words);
  try {
    const run = async (n) => (await import(`data:text/javascript,${encodeURIComponent(`${text}\nexport { viaduct }; // ${n}`)}`)).viaduct;
    const ada = await run(1);
    await next(ada, 'joined');
    const ben = await run(2);
    cleanups.push(() => { ada.close(); ben.close(); });
    await next(ada, 'signal');
    assert.deepEqual(said, [[ben.peer, { hello: 'there' }]]);
  } finally {
    console.log = original;
  }
});
