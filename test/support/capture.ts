import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { findProgram, Peer } from './peer.ts';
import { Seen } from './phone-seen.ts';

export interface CapturedPacket {
  readonly protocol: 'udp' | 'tcp';
  readonly from: number;
  readonly to: number;
  readonly payload: Buffer;
  /** The code point of its IPv4 header (RFC 2474). */
  readonly dscp: number;
}

const FIELDS = [
  'udp.srcport',
  'udp.dstport',
  'udp.payload',
  'tcp.srcport',
  'tcp.dstport',
  'tcp.payload',
  'ip.dsfield.dscp',
];
const KEPT_PACKETS = 20_000;

/** What passes over the loopback interface, as Debian's tshark sees it: from outside of every process of ours. */
export class Capture {
  readonly packets: Seen<CapturedPacket>;
  readonly #tshark: Peer;
  #rest = '';

  private constructor(tshark: Peer) {
    this.#tshark = tshark;
    this.packets = new Seen('tshark', ({ from, to }) => `a packet from ${from} to ${to}`, KEPT_PACKETS);
    tshark.child.stdout?.on('data', (chunk) => this.#read(String(chunk)));
  }

  /** Begins; resolves when packets are truly seen. `filter` is one of libpcap, such as `udp portrange 20000-20999`. */
  static async start(filter: string): Promise<Capture> {
    const beacon = createSocket('udp4');
    await new Promise<void>((resolve) => beacon.bind(0, '127.0.0.1', resolve));
    const { port } = beacon.address();
    const capture = new Capture(
      new Peer(findProgram('tshark') ?? 'tshark', [
        ...['-i', 'lo', '-l', '-n', '-Q', '-f', `(${filter}) or udp port ${port}`],
        // Nothing above the transport is to be taken apart: that costs time, and fields would come twice.
        ...['-T', 'fields', '-E', 'occurrence=f', ...FIELDS.flatMap((field) => ['-e', field])],
      ]),
    );
    // tshark says that it captures before it does: packets of our own tell when.
    const beat = setInterval(() => beacon.send('here', port, '127.0.0.1'), 20);
    try {
      await capture.packets.first('the beacon', (packet) => packet.from === port, { waitMs: 20_000 });
    } catch (error) {
      await capture.stop();
      throw new Error(`tshark does not capture: ${String(error)}\n${capture.#tshark.output.slice(-1_000)}`);
    } finally {
      clearInterval(beat);
      beacon.close();
    }
    return capture;
  }

  /** Resolves with so many RTP packets of one direction as soon as they were seen. */
  async rtp(from: number, to: number, count: number, waitMs = 10_000): Promise<Buffer[]> {
    const found: Buffer[] = [];
    await this.packets.first(
      `${count} RTP packets from ${from} to ${to}`,
      (packet) => {
        if (packet.from !== from || packet.to !== to) return false;
        // RFC 5761 §4: not RTCP.
        const type = packet.payload[1] ?? 0;
        if (packet.payload.length < 12 || (type >= 192 && type <= 223)) return false;
        found.push(packet.payload);
        return found.length >= count;
      },
      { waitMs },
    );
    return found;
  }

  async stop(): Promise<void> {
    await this.#tshark.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      const [udpFrom, udpTo, udp, tcpFrom, tcpTo, tcp, dscp] = line.split('\t');
      const isUdp = udpFrom !== '';
      this.packets.add({
        protocol: isUdp ? 'udp' : 'tcp',
        from: Number(isUdp ? udpFrom : tcpFrom),
        to: Number(isUdp ? udpTo : tcpTo),
        payload: Buffer.from((isUdp ? udp : tcp) ?? '', 'hex'),
        dscp: Number(dscp),
      });
    }
  }
}

/** Whether tshark is here and may capture on loopback. */
export function mayCapture(): boolean {
  const tshark = findProgram('tshark');
  if (tshark === undefined) return false;
  try {
    // Lists the link types of the interface, for which it must be opened as for a capture.
    execFileSync(tshark, ['-i', 'lo', '-L'], { stdio: 'ignore', timeout: 20_000 });
    return true;
  } catch {
    return false;
  }
}

/** Bits per byte: close to 8 for what is encrypted, far below for speech and tones. */
export function entropyOf(payloads: readonly Buffer[]): number {
  const counts = new Map<number, number>();
  let total = 0;
  for (const payload of payloads) {
    for (const byte of payload) counts.set(byte, (counts.get(byte) ?? 0) + 1);
    total += payload.length;
  }
  let bits = 0;
  for (const count of counts.values()) bits -= (count / total) * Math.log2(count / total);
  return bits;
}
