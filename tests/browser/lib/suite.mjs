// The servers under test: `viaduct up` with a state folder and ports of its own, on loopback.

import { spawn } from 'node:child_process';
import { mkdtemp, readFile, readdir, readlink, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { createSocket } from 'node:dgram';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { until } from './wait.mjs';

const ADDRESS = '127.0.0.1';
const RELAY_PORTS = 400;
const KEEP_LINES = 200;

export class Suite {
  #process = null;
  #state = '';
  #ports = {};
  #log = [];
  #turnd = [];

  /** `turnd`: lines for turnd alone, as in its file; 'no-tls' there leaves turns: out too. */
  constructor({ turnd = [] } = {}) {
    this.#turnd = turnd;
  }

  get url() {
    return `http://${ADDRESS}:${this.#ports.http}`;
  }

  get secureUrl() {
    return `https://${ADDRESS}:${this.#ports.https}`;
  }

  get httpPort() {
    return this.#ports.http;
  }

  /** Who signed the certificate of all servers. */
  get ca() {
    return join(this.#state, 'certs', 'ca.pem');
  }

  get turnPort() {
    return this.#ports.turn;
  }

  get metricsPort() {
    return this.#ports.metrics;
  }

  get #config() {
    return join(this.#state, 'up.conf');
  }

  async start() {
    this.#state = await mkdtemp(join(tmpdir(), 'viaduct-browser-'));
    this.#ports = await choosePorts();
    await writeFile(this.#config, ['[turnd]', ...this.#turnd, ''].join('\n'));
    await this.#run();
  }

  /** Again, on the same ports and with the same state. */
  async #run() {
    const { http, https, turn, turns, stun, relay, metrics } = this.#ports;
    this.#process = spawn(join(process.env.VIADUCT_BIN, 'viaduct'), ['up', '--verbose', '--state-dir', this.#state, '-c', this.#config,
      '--address', ADDRESS, '--http-port', http, '--https-port', https, '--turn-port', turn, '--turns-port', turns,
      '--stun-port', stun,
      '--min-port', relay, '--max-port', relay + RELAY_PORTS - 1, '--metrics-port', metrics,
    ].map(String), { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#process.stdout, this.#process.stderr]) stream.on('data', (data) => this.#keep(data));
    try {
      await until('`viaduct up` serves the call page', async () => {
        if (this.#process.exitCode !== null) throw new Error(`it ended with status ${this.#process.exitCode}`);
        return (await fetch(`${this.url}/`)).ok;
      }, 30_000);
      await until('turnd answers', () => this.pidOf('turnd'));
    } catch (error) {
      throw new Error(`${error.message}\nits log:\n${this.log}`);
    }
  }

  /** Ctrl-C, as a person would; the ports stay ours for `restart`. */
  async interrupt() {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => { child.once('exit', resolve); });
    child.kill('SIGINT');
    const patience = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(patience);
  }

  async restart() {
    await this.#run();
  }

  async stop() {
    await this.interrupt();
    if (this.#state) await rm(this.#state, { recursive: true, force: true });
  }

  get log() {
    return this.#log.join('\n');
  }

  /** Of the child that supervises as `name`: 'turnd', 'signald' or 'stund'. */
  async pidOf(name) {
    const parent = this.#process.pid;
    const children = (await readFile(`/proc/${parent}/task/${parent}/children`, 'utf8')).trim().split(/\s+/);
    for (const pid of children.filter(Boolean)) {
      // The kernel keeps the first 15 characters of a name.
      const comm = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
      if (comm.trim() === `viaduct-${name}`.slice(0, 15)) return Number(pid);
    }
    return null;
  }

  /** The sockets of a child in one of the kernel's tables ('tcp', 'udp'), both families: { port, listening }. */
  async socketsOf(name, table) {
    const pid = await this.pidOf(name);
    const names = await readdir(`/proc/${pid}/fd`);
    const links = await Promise.all(names.map((each) => readlink(`/proc/${pid}/fd/${each}`).catch(() => '')));
    const inodes = new Set(links.map((link) => link.match(/^socket:\[(\d+)\]$/)?.[1]).filter(Boolean));
    const tables = await Promise.all([table, `${table}6`].map((each) => readFile(`/proc/${pid}/net/${each}`, 'utf8')));
    return tables.flatMap((text) => text.trim().split('\n').slice(1))
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => inodes.has(fields[9]))
      .map((fields) => ({ port: parseInt(fields[1].split(':').at(-1), 16), listening: fields[3] === '0A' }));
  }

  /** kill -9, and the new pid once the supervisor has started another. */
  async kill(name) {
    const before = await this.pidOf(name);
    if (!before) throw new Error(`no ${name} to kill; the log:\n${this.log}`);
    process.kill(before, 'SIGKILL');
    return until(`${name} comes back`, async () => {
      const now = await this.pidOf(name);
      return now && now !== before ? now : null;
    });
  }

  /** A counter of turnd, by its name in /metrics. */
  async turnCounter(name) {
    const text = await (await fetch(`http://${ADDRESS}:${this.#ports.metrics}/metrics`)).text();
    const line = text.split('\n').find((each) => each.startsWith(`${name} `));
    if (!line) throw new Error(`turnd has no counter ${name}`);
    return Number(line.split(' ')[1]);
  }

  #keep(data) {
    this.#log.push(...data.toString().trimEnd().split('\n'));
    this.#log.splice(0, Math.max(0, this.#log.length - KEEP_LINES));
  }
}

/** Free now, for TCP and UDP alike. Another program may be faster; the start then fails and says so. */
async function choosePorts() {
  const taken = new Set();
  const one = async (count = 1) => {
    for (let tries = 0; tries < 200; tries += 1) {
      const first = 20_000 + Math.floor(Math.random() * 12_000); // below the range that Linux gives out by itself
      const ports = Array.from({ length: count }, (_, i) => first + i);
      if (ports.some((port) => taken.has(port))) continue;
      if (!(await Promise.all(ports.map(isFree))).every(Boolean)) continue;
      for (const port of ports) taken.add(port);
      return first;
    }
    throw new Error(`found no ${count} free ports in a row`);
  };
  return { http: await one(), https: await one(), turn: await one(), turns: await one(), stun: await one(), metrics: await one(3), relay: await one(RELAY_PORTS) };
}

async function isFree(port) {
  const tcp = await tryListen(createServer(), (server) => server.listen(port, ADDRESS));
  const udp = await tryListen(createSocket('udp4'), (socket) => socket.bind(port, ADDRESS));
  return tcp && udp;
}

function tryListen(server, listen) {
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.once('listening', () => server.close(() => resolve(true)));
    listen(server);
  });
}
