import type { StreamId } from '../../src/base/index.ts';
import { applySpec } from '../../src/media/apply-spec.ts';
import type { Dtls } from '../../src/media/dtls.ts';
import { StreamGraph } from '../../src/media/graph.ts';
import type { MediaEvent, StreamSpec } from '../../src/media/index.ts';
import { tickNegotiation } from '../../src/media/negotiation.ts';
import { measureInterval } from '../../src/media/quality.ts';
import { Relay, type RelayPort } from '../../src/media/relay.ts';
import { Stream } from '../../src/media/stream.ts';
import { parseAddress } from '../../src/native/index.ts';
import { rtpPayloadType, rtpSequence, rtpSsrc, rtpTimestamp, writeRtpHeader } from '../../src/rtp/index.ts';

export interface Sent {
  readonly by: string;
  readonly fromRtcp: boolean;
  readonly to: string;
  readonly packet: Buffer;
}

const TICK_MS = 250;

/** The packet path without sockets, on virtual time: `turn` hands a packet in and gives what leaves. */
export class PacketPath {
  readonly graph = new StreamGraph();
  readonly events: MediaEvent[] = [];
  /** Streams whose state was told to the twin, in order: `commit` must precede the packet, `note` need not. */
  readonly told: string[] = [];
  twinListens = true;
  /** The twin hears of the stream, as it is now. */
  onTold: (stream: Stream) => void = () => {};
  nowMs = 1_000_000;
  #sent: Sent[] = [];
  readonly #port: RelayPort = {
    send: (stream, fromRtcp, packet, length, to) => {
      this.#sent.push({
        by: stream.id,
        fromRtcp,
        to: `${to}`,
        packet: Buffer.from(packet.subarray(0, length)),
      });
    },
    commit: (stream) => {
      this.told.push(`commit ${stream.id}`);
      if (this.twinListens) this.onTold(stream);
      return this.twinListens;
    },
    note: (stream) => {
      this.told.push(`note ${stream.id}`);
      this.onTold(stream);
    },
    event: (event) => this.events.push(event),
  };
  readonly relay = new Relay(this.#port);

  get port(): RelayPort {
    return this.#port;
  }

  put(spec: StreamSpec): Stream {
    const known = this.graph.get(spec.id);
    const port = 40_000 + 2 * this.graph.size;
    const stream =
      known ?? new Stream(spec, { address: '127.0.0.1', port }, undefined, 0xa000 + port, this.nowMs);
    applySpec(stream, spec, this.nowMs, known === undefined);
    this.graph.connect(stream);
    return stream;
  }

  /** As a media process does at a `put`: its DTLS and ICE may begin. What leaves. */
  negotiate(id: string, dtls: Dtls): Sent[] {
    this.#sent = [];
    dtls.attend(this.#port, this.stream(id));
    tickNegotiation(this.#port, this.stream(id), this.nowMs);
    return this.#sent;
  }

  /** So much time goes by, with its ticks; what leaves meanwhile. */
  wait(ms: number): Sent[] {
    this.#sent = [];
    for (let left = ms; left > 0; left -= TICK_MS) {
      this.nowMs += Math.min(left, TICK_MS);
      for (const stream of this.graph) {
        tickNegotiation(this.#port, stream, this.nowMs);
        measureInterval(stream, this.nowMs);
      }
    }
    return this.#sent;
  }

  /** What has left since the last call of this or of the others. */
  left(): Sent[] {
    const sent = this.#sent;
    this.#sent = [];
    return sent;
  }

  /** The twin should know the stream as it is now. */
  note(stream: Stream): void {
    this.#port.note(stream);
  }

  stream(id: string): Stream {
    return this.graph.get(id as StreamId)!;
  }

  /** `from` is `address:port`, IPv6 in brackets. */
  turn(id: string, packet: Buffer, from: string, onRtcp = false): Sent[] {
    const [, address = '', port] = /^\[?(.*?)\]?:(\d+)$/.exec(from) ?? [];
    const slot = Buffer.alloc(2048);
    packet.copy(slot);
    this.#sent = [];
    const source = parseAddress(address, Number(port))!;
    this.relay.receive(this.stream(id), onRtcp, slot, packet.length, source, this.nowMs);
    return this.#sent;
  }
}

export interface RtpWishes {
  readonly type?: number;
  readonly sequence?: number;
  readonly timestamp?: number;
  readonly ssrc?: number;
  readonly payload?: Buffer | string;
}

export function rtpPacket({
  type = 0,
  sequence = 1,
  timestamp,
  ssrc = 7,
  payload = 'audio',
}: RtpWishes): Buffer {
  const bytes = Buffer.from(payload as string);
  const packet = Buffer.alloc(12 + bytes.length);
  writeRtpHeader(packet, type, false, sequence, timestamp ?? (sequence * 160) >>> 0, ssrc);
  bytes.copy(packet, 12);
  return packet;
}

export const headerOf = (packet: Buffer) => ({
  type: rtpPayloadType(packet),
  sequence: rtpSequence(packet),
  timestamp: rtpTimestamp(packet),
  ssrc: rtpSsrc(packet),
});
