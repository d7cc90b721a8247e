/** A client of the Viaduct signalling protocol; see viaduct.js. */

export type TransportName = 'websocket' | 'sse' | 'longpoll' | 'poll';
export type State = 'connecting' | 'open' | 'waiting' | 'closed';

export const TRANSPORTS: TransportName[];

export interface Options {
  /** For servers that ask for one. */
  token?: string;
  /** Which to use, the best first; all four without it. */
  transports?: TransportName[];
  /** A constructor to use instead of the global one. */
  WebSocket?: unknown;
  openWithinMs?: number;
  quietMs?: number;
  pollEveryMs?: number;
  waitSeconds?: number;
  climbAfterMs?: number;
  backoffMs?: number;
  longestBackoffMs?: number;
  /** Messages that wait for their delivery at most; more are refused with `queue-full`. */
  queue?: number;
}

export interface Peer {
  peer: string;
  name: string | null;
  meta: unknown;
  polite: boolean;
}

export interface ErrorMessage {
  type: 'error';
  code: string;
  message: string;
  id?: string | number;
  retryAfter?: number;
}

export interface Events {
  state: { state: State; retryAt?: number; reason?: string };
  session: { peer: string; fresh: boolean };
  transport: { transport: TransportName };
  joined: { room: string; peers: Peer[] };
  'peer-joined': Peer & { room: string };
  'peer-left': { room: string; peer: string; reason: 'leave' | 'bye' | 'timeout' | 'kicked' | 'outbox-overflow' };
  signal: { room: string; from: string; data: unknown };
  broadcast: { room: string; from: string; data: unknown };
  /** The server goes away in so many seconds; where there is a url, the session moves there by itself. */
  drain: { seconds: number; url?: string };
  redirect: { url: string; room: string };
  error: ErrorMessage;
}

export class ViaductError extends Error {
  code: string;
  retryAfter?: number;
}

export interface CallOptions {
  name?: string;
  meta?: unknown;
  stream?: MediaStream;
  /** Beside the iceServers, which come from the server; or what makes a configuration of them, for each connection and each restart of ICE. */
  rtc?: Omit<RTCConfiguration, 'iceServers'> | ((iceServers: RTCIceServer[]) => RTCConfiguration);
  /** Others at most; more are not met. */
  mostPeers?: number;
  /** How long the polite one waits for the other's first offer; 1,500 without it. */
  offerAfterMs?: number;
}

/** The connection to one of the others. */
export interface CallPeer {
  readonly peer: string;
  readonly name: string | null;
  readonly meta: unknown;
  readonly polite: boolean;
  readonly state: CallPeerState;
  /** The server has lost them; the connection may go on. */
  readonly isLost: boolean;
  /** Null while it is being made anew. */
  readonly connection: RTCPeerConnection | null;
  /** ICE again, with fresh credentials and the wishes of `rtc`. */
  restart(): Promise<void>;
  /** A new RTCPeerConnection on both sides. */
  renew(): Promise<void>;
}

export type CallPeerState = 'connecting' | 'connected' | 'reconnecting' | 'closed';

export interface CallEvents {
  peer: { peer: string; name: string | null; meta: unknown; connection: RTCPeerConnection; isNewcomer: boolean };
  connection: { peer: string; connection: RTCPeerConnection; offersFirst: boolean };
  track: { peer: string; track: MediaStreamTrack; streams: readonly MediaStream[]; transceiver: RTCRtpTransceiver };
  channel: { peer: string; channel: RTCDataChannel };
  state: { peer: string; state: CallPeerState };
  lost: { peer: string };
  back: { peer: string; before: string };
  left: { peer: string; reason: string };
  trouble: { peer: string | null; error: unknown };
  ended: { reason: string };
}

/** Made by Viaduct.call. */
export interface Call {
  readonly room: string;
  readonly peers: Map<string, CallPeer>;
  on<K extends keyof CallEvents>(type: K, handler: (event: CallEvents[K]) => void): () => void;
  addStream(stream: MediaStream): void;
  /** Gives one of them up. */
  drop(peer: string, reason?: string): void;
  leave(): void;
}

export class Viaduct {
  readonly state: State;
  readonly transport: TransportName | null;
  readonly peer: string | null;
  on<K extends keyof Events>(type: K, handler: (event: Events[K]) => void): () => void;
  on(type: string, handler: (event: unknown) => void): () => void;
  join(room: string, options?: { name?: string; meta?: unknown }): void;
  leave(room: string): void;
  signal(room: string, to: string, data: unknown): Promise<void>;
  broadcast(room: string, data: unknown): Promise<void>;
  kick(room: string, peer: string): void;
  call(room: string, options?: CallOptions): Call;
  iceServers(options?: { fresh?: boolean }): Promise<RTCIceServer[]>;
  /** For when the network may have changed: replaces a connection that gives no sign of life. */
  probe(): void;
  retryNow(): void;
  close(): void;
}

export function connect(url: string | URL, options?: Options): Viaduct;
