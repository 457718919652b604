import net from 'node:net';
import tls from 'node:tls';
import { WebSocket } from 'ws';
import { type Random, randomBelow } from '../../src/base/index.ts';
import type { Installation } from './installation.ts';

export type StreamName = 'tcp' | 'tls' | 'ws' | 'wss';
export const STREAMS: readonly StreamName[] = ['tcp', 'tls', 'ws', 'wss'];

/** A connection that says what a test wants it to say, and knows what it heard and when it was ended. */
export interface HostileConnection {
  say(bytes: Uint8Array | string): void;
  heard(): string;
  /** Resolves when the text has come; rejects when the connection ends before. */
  hears(text: string): Promise<void>;
  /** Resolves when the server has ended it, to how long it lived, ms. */
  readonly ended: Promise<number>;
  readonly isOpen: boolean;
  close(): void;
}

/** An open connection of that kind; for WS and WSS after the handshake. */
export function connect(
  at: Installation,
  transport: StreamName,
  from = '127.0.0.9',
): Promise<HostileConnection> {
  if (transport === 'ws' || transport === 'wss') return connectWebSocket(at, transport, from);
  const to = { host: '127.0.0.1', port: at.port(transport), localAddress: from };
  const socket = transport === 'tls' ? tls.connect({ ...to, rejectUnauthorized: false }) : net.connect(to);
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once(transport === 'tls' ? 'secureConnect' : 'connect', () => {
      socket.off('error', reject);
      resolve(
        watched(
          socket,
          (bytes) => socket.write(bytes),
          (listener) => socket.on('data', (chunk) => listener(chunk.toString('latin1'))),
        ),
      );
    });
  });
}

/** A plain TCP connection to the port of any transport: for handshakes that never come. */
export function connectBare(
  at: Installation,
  transport: StreamName,
  from = '127.0.0.9',
): Promise<HostileConnection> {
  const socket = net.connect({ host: '127.0.0.1', port: at.port(transport), localAddress: from });
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(
        watched(
          socket,
          (bytes) => socket.write(bytes),
          (listener) => socket.on('data', (chunk) => listener(chunk.toString('latin1'))),
        ),
      );
    });
  });
}

function connectWebSocket(
  at: Installation,
  transport: 'ws' | 'wss',
  from: string,
): Promise<HostileConnection> {
  const socket = new WebSocket(`${transport}://127.0.0.1:${at.port(transport)}/`, 'sip', {
    rejectUnauthorized: false,
    localAddress: from,
  });
  let stream: net.Socket | undefined;
  socket.once('upgrade', (response) => {
    stream = response.socket;
  });
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('open', () => {
      socket.off('error', reject).on('error', () => {});
      resolve(
        watched(
          stream!,
          (bytes) => socket.send(bytes, { binary: typeof bytes !== 'string' }),
          (listener) => socket.on('message', (data) => listener((data as Buffer).toString('latin1'))),
        ),
      );
    });
  });
}

function watched(
  socket: net.Socket,
  say: (bytes: Uint8Array | string) => void,
  onText: (listener: (text: string) => void) => void,
): HostileConnection {
  const openedMs = performance.now();
  let text = '';
  let isOpen = true;
  const waiters = new Set<() => void>();
  onText((more) => {
    text = (text + more).slice(-1_000_000);
    for (const look of waiters) look();
  });
  socket.on('error', () => {});
  const ended = new Promise<number>((resolve) => {
    socket.once('close', () => {
      isOpen = false;
      for (const look of waiters) look();
      resolve(performance.now() - openedMs);
    });
  });
  return {
    say: (bytes) => {
      if (isOpen) say(bytes);
    },
    heard: () => text,
    hears: (wanted) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (text.includes(wanted)) resolve();
          else if (!isOpen) reject(new Error(`the connection ended without ${wanted}; heard ${text}`));
          else return;
          waiters.delete(look);
        };
        waiters.add(look);
        look();
      }),
    ended,
    get isOpen() {
      return isOpen;
    },
    close: () => socket.destroy(),
  };
}

/** A sound request by hand, with room for what is unsound. */
export function request(
  method: string,
  options: {
    readonly uri?: string;
    readonly callId?: string;
    readonly branch?: string;
    readonly transport?: string;
    readonly from?: string;
    readonly fromTag?: string;
    readonly to?: string;
    readonly cseq?: number;
    readonly maxForwards?: number;
    readonly headers?: readonly string[];
    readonly contentLength?: number | string;
    readonly body?: string;
  } = {},
): string {
  const id = options.callId ?? `hostile-${Math.random().toString(36).slice(2)}`;
  const uri = options.uri ?? 'sip:1002@demo.twinline.test';
  const body = options.body ?? '';
  return [
    `${method} ${uri} SIP/2.0`,
    `Via: SIP/2.0/${options.transport ?? 'UDP'} 127.0.0.9:5999;branch=${options.branch ?? `z9hG4bK${id}`};rport`,
    `Max-Forwards: ${options.maxForwards ?? 70}`,
    `From: <${options.from ?? 'sip:1009@demo.twinline.test'}>;tag=${options.fromTag ?? id}`,
    `To: ${options.to ?? `<${uri}>`}`,
    `Call-ID: ${id}`,
    `CSeq: ${options.cseq ?? 1} ${method}`,
    'Contact: <sip:1009@127.0.0.9:5999>',
    ...(options.headers ?? []),
    `Content-Length: ${options.contentLength ?? Buffer.byteLength(body)}`,
    '',
    body,
  ].join('\r\n');
}

/** The text with some bytes changed, left out, doubled or put elsewhere. */
export function mutate(text: string, random: Random): Buffer {
  const bytes = [...Buffer.from(text, 'latin1')];
  const below = (end: number): number => randomBelow(random, end);
  for (let change = 1 + below(8); change > 0 && bytes.length > 1; change--) {
    const at = below(bytes.length);
    switch (below(5)) {
      case 0:
        bytes[at] = below(256);
        break;
      case 1:
        bytes.splice(at, 1 + below(20));
        break;
      case 2:
        bytes.splice(at, 0, ...bytes.slice(at, at + 1 + below(60)));
        break;
      case 3:
        bytes.splice(at, 0, ...Array.from({ length: 1 + below(30) }, () => below(256)));
        break;
      default:
        bytes.splice(0, bytes.length, ...bytes.slice(0, Math.max(1, at)));
    }
  }
  return Buffer.from(bytes);
}
