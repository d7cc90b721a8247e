// Bitrates, loss and round-trip time from two statistics reports in a row, and the last minute of them. Pure: the
// reports carry their own time.

import { selectedPair } from './path.js';

const KEEP_MS = 60_000;

export class Rates {
  #last = null;
  samples = []; // { at, up, down, loss, rtt }: ms, bit/s, bit/s, share from 0 to 1 or null, ms or null

  add(report) {
    const now = totals(report);
    if (!now) return;
    const last = this.#last;
    this.#last = now;
    const seconds = last && (now.at - last.at) / 1000;
    // Totals that went backwards belong to another connection than the ones before: a start, not a sample.
    if (!last || seconds <= 0 || now.sent < last.sent || now.received < last.received) return;
    this.samples.push({
      at: now.at,
      up: ((now.sent - last.sent) * 8) / seconds,
      down: ((now.received - last.received) * 8) / seconds,
      loss: share(now.packetsLost - last.packetsLost, now.packets - last.packets),
      rtt: now.rtt,
    });
    while (this.samples[0].at < now.at - KEEP_MS) this.samples.shift();
  }

  get latest() {
    return this.samples.at(-1) ?? null;
  }
}

function totals(report) {
  const pair = selectedPair(report);
  if (!pair) return null;
  const all = [...report.values()];
  const bytes = all.find((entry) => entry.type === 'transport' && 'bytesSent' in entry) ?? pair;
  const streams = all.filter((entry) => entry.type === 'inbound-rtp');
  return {
    at: pair.timestamp,
    sent: bytes.bytesSent,
    received: bytes.bytesReceived,
    packets: sum(streams, 'packetsReceived'),
    packetsLost: sum(streams, 'packetsLost'),
    rtt: typeof pair.currentRoundTripTime === 'number' ? pair.currentRoundTripTime * 1000 : null,
  };
}

function sum(entries, member) {
  return entries.reduce((total, entry) => total + (entry[member] ?? 0), 0);
}

/** A late packet takes back its loss, so a difference may be negative. */
function share(lost, received) {
  const expected = lost + received;
  return expected > 0 ? Math.min(1, Math.max(0, lost / expected)) : null;
}
