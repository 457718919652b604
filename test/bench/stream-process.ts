// Sends and receives the audio of many calls, in a process of its own so that nothing else delays it. Ordered over IPC by streams.ts.
import {
  openUdpLoop,
  type PacketBatch,
  parseAddress,
  systemRandom,
  type UdpAddress,
  type UdpSocket,
} from '../../src/native/index.ts';
import {
  createSrtpReceiver,
  createSrtpSender,
  keySaltLength,
  type SrtpReceiver,
  type SrtpSender,
} from '../../src/rtp/index.ts';
import type { SrtpSuite } from '../../src/sdp/index.ts';
import { DelayHistogram } from './delay-histogram.ts';
import { PACKET_MS, type StreamEvent, type StreamOrder } from './stream-messages.ts';

const HEADER = 12;
const PAYLOAD = 160;
/** Places in the 20 ms at which streams begin. */
const PHASES = 160;
/** How often a packet goes straight from a socket of ours to another. */
const DIRECT_EVERY_MS = 5;
const RECEIVE_BUFFER_BYTES = 1024 * 1024;

class Stream {
  readonly socket: UdpSocket;
  readonly suite: SrtpSuite | undefined;
  readonly keySalt: string | undefined;
  readonly packet = Buffer.alloc(HEADER + PAYLOAD + 64);
  readonly view = new DataView(this.packet.buffer, this.packet.byteOffset);
  to: UdpAddress | undefined;
  sender: SrtpSender | undefined;
  receiver: SrtpReceiver | undefined;
  dueMs = 0;
  received = 0;
  lastMs = 0;
  longestGapMs = 0;

  constructor(socket: UdpSocket, at: number, suite: SrtpSuite | undefined) {
    this.socket = socket;
    this.suite = suite;
    this.packet[0] = 0x80;
    this.view.setUint32(8, (process.pid << 14) + at);
    if (suite) {
      this.keySalt = Buffer.from(systemRandom.bytes(keySaltLength(suite))).toString('base64');
      this.sender = createSrtpSender({ suite, keySalt: this.keySalt });
    }
    socket.resume((batch) => this.#take(batch));
  }

  send(nowMs: number): void {
    const { view } = this;
    view.setUint16(2, view.getUint16(2) + 1);
    view.setUint32(4, view.getUint32(4) + 160);
    view.setFloat64(HEADER, nowMs);
    // The packet is encrypted where it lies: only the time in it is read again, the rest may be anything.
    const length = this.sender ? this.sender.protectRtp(this.packet, HEADER + PAYLOAD) : HEADER + PAYLOAD;
    this.socket.send(this.packet, length, this.to!);
    sent++;
  }

  #take(batch: PacketBatch): void {
    const nowMs = performance.now();
    for (let at = 0; at < batch.count; at++) {
      const packet = batch.buffers[at]!;
      const length = this.receiver
        ? this.receiver.unprotectRtp(packet, batch.lengths[at]!)
        : batch.lengths[at]!;
      if (length !== HEADER + PAYLOAD) {
        refused++;
        continue;
      }
      this.received++;
      delays.add(nowMs - packet.readDoubleBE(HEADER));
      this.longestGapMs = Math.max(this.longestGapMs, nowMs - this.lastMs);
      this.lastMs = nowMs;
    }
  }
}

const loop = openUdpLoop();
const streams: Stream[] = [];
const delays = new DelayHistogram();
const direct = new DelayHistogram();
let sent = 0;
let refused = 0;
let sending = false;
let longestPauseMs = 0;
let lastTickMs = performance.now();

const say = (event: StreamEvent) => process.send?.(event);
const open = () => loop.open({ address: '127.0.0.1', port: 0, receiveBufferBytes: RECEIVE_BUFFER_BYTES });

/** RTP on an even port, the odd one behind it for RTCP, which we send none of (RFC 3550 §11). */
function openEven(): UdpSocket {
  for (;;) {
    const socket = open();
    if (socket.local.port % 2 === 0) return socket;
    socket.close();
  }
}

const near = open();
const far = open();
const stamp = Buffer.alloc(HEADER + PAYLOAD);
far.resume((batch) => {
  const nowMs = performance.now();
  for (let at = 0; at < batch.count; at++) direct.add(nowMs - batch.buffers[at]!.readDoubleBE(0));
});
let directDueMs = 0;

function tick(): void {
  const nowMs = performance.now();
  longestPauseMs = Math.max(longestPauseMs, nowMs - lastTickMs);
  lastTickMs = nowMs;
  if (sending) {
    for (const stream of streams) {
      if (stream.to === undefined || stream.dueMs > nowMs) continue;
      stream.send(performance.now());
      stream.dueMs += PACKET_MS;
      // After a pause of ours the beat goes on from now: no burst that a phone would not send.
      if (stream.dueMs < nowMs - PACKET_MS) stream.dueMs = nowMs + PACKET_MS;
    }
    if (directDueMs <= nowMs) {
      stamp.writeDoubleBE(performance.now(), 0);
      near.send(stamp, stamp.length, far.local);
      directDueMs = nowMs + DIRECT_EVERY_MS;
    }
  }
  setTimeout(tick, 1);
}

function mark(): void {
  sent = 0;
  refused = 0;
  longestPauseMs = 0;
  lastTickMs = performance.now();
  delays.clear();
  direct.clear();
  for (const stream of streams) {
    stream.received = 0;
    stream.longestGapMs = 0;
    if (stream.lastMs === 0) stream.lastMs = lastTickMs;
  }
}

function obey(order: StreamOrder): void {
  switch (order.do) {
    case 'open': {
      const from = streams.length;
      for (let at = 0; at < order.streams; at++)
        streams.push(new Stream(openEven(), streams.length, order.suite));
      say({
        event: 'opened',
        streams: streams.slice(from).map(({ socket, keySalt }) => ({
          port: socket.local.port,
          ...(keySalt && { keySalt }),
        })),
      });
      return;
    }
    case 'connect': {
      const stream = streams[order.at]!;
      stream.to = parseAddress(order.address, order.port)!;
      if (order.keySalt !== undefined && stream.suite)
        stream.receiver = createSrtpReceiver({ suite: stream.suite, keySalt: order.keySalt });
      return;
    }
    case 'send': {
      const nowMs = performance.now();
      // Spread over the 20 ms as independent callers are.
      streams.forEach((stream, at) => {
        stream.dueMs = nowMs + (((at * 7) % PHASES) * PACKET_MS) / PHASES;
        stream.lastMs = nowMs;
      });
      sending = true;
      return;
    }
    case 'mark':
      mark();
      return;
    case 'silence':
      sending = false;
      return;
    case 'report': {
      const nowMs = performance.now();
      say({
        event: 'report',
        sent,
        received: streams.reduce((sum, { received }) => sum + received, 0),
        refused,
        streams: streams.map(({ received, longestGapMs, lastMs }) => ({
          received,
          longestGapMs: sending ? Math.max(longestGapMs, nowMs - lastMs) : longestGapMs,
        })),
        delayMs: delays.summary(),
        directMs: direct.summary(),
        longestPauseMs,
      });
      return;
    }
    case 'close':
      sending = false;
      for (const stream of streams.splice(0)) {
        stream.socket.close();
        stream.sender?.close();
        stream.receiver?.close();
      }
      return;
    default: {
      const unknown: never = order;
      throw new Error(`unknown order ${JSON.stringify(unknown)}`);
    }
  }
}

process.on('message', (order) => obey(order as StreamOrder));
process.on('disconnect', () => process.exit(0));
tick();
say({ event: 'ready' });
