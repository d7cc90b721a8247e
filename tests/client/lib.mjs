// What client.test.mjs is written with: a signald, a proxy in front of it that breaks what it is told to, and a
// WebSocket for Node.js versions without one.
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import readline from 'node:readline';

const BIN = process.env.VIADUCT_BIN;

/** A daemon at a port that the system chooses. */
export async function startSignald(...args) {
  const process_ = spawn(path.join(BIN, 'viaduct-signald'), ['--listen=127.0.0.1:0', '--web-root=none', ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let port = 0;
  for await (const line of readline.createInterface({ input: process_.stderr })) {
    port = Number(/ listening transport=http address=\S+:(\d+)$/.exec(line)?.[1] ?? port);
    if (/ ready workers=1$/.test(line)) break;
  }
  process_.stderr.resume();
  return {
    port,
    stop: () => new Promise((resolve) => { process_.once('exit', resolve); process_.kill('SIGTERM'); }),
  };
}

/** In front of `port`: `broken` may hold 'websocket' (a 400), 'stream' (answers come when they are whole), 'long' (what takes longer than 300 ms is cut), 'back' (what comes back over a WebSocket is lost), 'deaf' (what a client sends is lost), 'all'. */
export async function startProxy(port) {
  const broken = new Set(), sockets = new Set(), seen = [];
  const server = http.createServer((request, response) => {
    seen.push(`${request.method} ${request.url.replace(/\?.*/, '')}`);
    if (broken.has('all')) return request.socket.destroy();
    if (broken.has('deaf') && request.method === 'POST') return; // it waits, and nobody answers
    const onward = http.request({ port, host: '127.0.0.1', method: request.method, path: request.url, headers: request.headers }, (answer) => {
      if (!broken.has('stream')) {
        response.writeHead(answer.statusCode, answer.headers);
        response.flushHeaders();
        answer.pipe(response);
        return;
      }
      const chunks = [];
      answer.on('data', (chunk) => chunks.push(chunk));
      answer.on('end', () => { response.writeHead(answer.statusCode, answer.headers); response.end(Buffer.concat(chunks)); });
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
    if (broken.has('long')) setTimeout(() => { if (!response.writableEnded) response.destroy(); }, 300).unref();
  });
  server.on('upgrade', (request, socket, head) => {
    seen.push('upgrade');
    if (broken.has('websocket') || broken.has('all')) return socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
    const onward = net.connect(port, '127.0.0.1', () => {
      onward.write(`${request.method} ${request.url} HTTP/1.1\r\n${request.rawHeaders.reduce((text, field, i) => text + field + (i % 2 ? '\r\n' : ': '), '')}\r\n`);
      onward.write(head);
      socket.on('data', (data) => { if (!broken.has('deaf')) onward.write(data); });
      socket.on('end', () => onward.end());
      onward.on('data', (data) => { if (!broken.has('back')) socket.write(data); });
    });
    for (const [one, other] of [[socket, onward], [onward, socket]]) { one.on('error', () => {}); one.on('close', () => other.destroy()); }
  });
  server.on('connection', (socket) => { sockets.add(socket); socket.on('close', () => sockets.delete(socket)); });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    broken, seen,
    /** As when a network goes. */
    cut() { for (const socket of sockets) socket.destroy(); },
    stop() { server.close(); this.cut(); },
  };
}

/** As much of the browsers' class as the client uses. */
export class NodeWebSocket {
  readyState = 0;
  #socket;
  #rest = Buffer.alloc(0);
  #code = 1006;

  constructor(url, protocol) {
    const key = randomBytes(16).toString('base64');
    const request = http.request(url.replace(/^ws/, 'http'), {
      headers: { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': 13, 'Sec-WebSocket-Key': key, 'Sec-WebSocket-Protocol': protocol },
    });
    request.on('upgrade', (answer, socket, head) => {
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
      if (answer.headers['sec-websocket-accept'] !== accept) return socket.destroy();
      this.#socket = socket;
      this.readyState = 1;
      socket.on('error', () => {});
      socket.on('close', () => this.#end());
      socket.on('data', (data) => this.#take(data));
      this.onopen?.();
      this.#take(head);
    });
    request.on('response', (answer) => { answer.resume(); this.#end(); });
    request.on('error', () => this.#end());
    request.end();
  }

  #end() {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose?.({ code: this.#code });
  }

  #take(data) {
    this.#rest = Buffer.concat([this.#rest, data]);
    for (;;) {
      if (this.#rest.length < 2) return;
      let size = this.#rest[1] & 127, at = 2;
      if (size === 126) { if (this.#rest.length < 4) return; size = this.#rest.readUInt16BE(2); at = 4; }
      else if (size === 127) { if (this.#rest.length < 10) return; size = Number(this.#rest.readBigUInt64BE(2)); at = 10; }
      if (this.#rest.length < at + size) return;
      const opcode = this.#rest[0] & 15, payload = this.#rest.subarray(at, at + size);
      this.#rest = this.#rest.subarray(at + size);
      if (opcode === 1) this.onmessage?.({ data: payload.toString() });
      else if (opcode === 9) this.#write(10, payload);
      else if (opcode === 8) { this.#code = size >= 2 ? payload.readUInt16BE(0) : 1005; this.#write(8, payload); this.#socket.end(); }
    }
  }

  #write(opcode, payload) {
    const head = payload.length < 126 ? Buffer.from([0x80 | opcode, 0x80 | payload.length]) : Buffer.from([0x80 | opcode, 0xfe, payload.length >> 8, payload.length & 255]);
    this.#socket.write(Buffer.concat([head, Buffer.alloc(4), payload])); // a mask of zeros
  }

  send(text) {
    this.#write(1, Buffer.from(text));
  }

  close() {
    if (this.readyState === 1) { this.readyState = 2; this.#write(8, Buffer.from([3, 232])); this.#socket.end(); }
    else this.#socket?.destroy();
  }
}
