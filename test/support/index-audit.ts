import type { SrtpKey } from '../../src/media/index.ts';
import { createSrtpReceiver, isRtcp, rtpSequence, rtpSsrc } from '../../src/rtp/index.ts';

/**
 * Watches what was sent under one key, whoever sent it, in whatever order it is seen: two different packets under one index break it
 * (TR-MEDIA-09). It believes nothing but the packets' own octets: an RTP packet's rollover counter is the one under which it proves
 * genuine.
 */
export class IndexAudit {
  readonly #key: SrtpKey;
  readonly #rollovers: number;
  readonly #packets: Buffer[] = [];

  constructor(key: SrtpKey, rollovers = 3) {
    this.#key = key;
    this.#rollovers = rollovers;
  }

  see(packet: Buffer): void {
    this.#packets.push(packet);
  }

  /** What the packets seen until now show. It takes a while, so it is not done while somebody talks. */
  judge(): IndexFindings {
    const reused: string[] = [];
    const repeated: string[] = [];
    const unreadable: string[] = [];
    const seen = new Map<string, Buffer>();
    let rtcpPackets = 0;
    for (const packet of this.#packets) {
      const rtcp = isRtcp(packet, packet.length);
      if (rtcp) rtcpPackets++;
      const place = rtcp ? this.#placeOfRtcp(packet) : this.#placeOfRtp(packet);
      if (place === undefined) {
        unreadable.push(packet.toString('hex').slice(0, 48));
        continue;
      }
      const before = seen.get(place);
      if (before === undefined) seen.set(place, packet);
      else (before.equals(packet) ? repeated : reused).push(place);
    }
    return { reused, repeated, unreadable, rtcpPackets, rtpPackets: this.#packets.length - rtcpPackets };
  }

  #placeOfRtcp(packet: Buffer): string {
    const wordAt = packet.length - (this.#key.suite.includes('GCM') ? 4 : 14);
    return `rtcp ${packet.readUInt32BE(4)} ${packet.readUInt32BE(wordAt) & 0x7fffffff}`;
  }

  #placeOfRtp(packet: Buffer): string | undefined {
    const [ssrc, sequence] = [rtpSsrc(packet), rtpSequence(packet)];
    for (let rollover = 0; rollover < this.#rollovers; rollover++) {
      const index = rollover * 65_536 + sequence;
      const receiver = createSrtpReceiver(this.#key);
      if (index > 0) receiver.expectIndex(ssrc, index - 1);
      const opened = receiver.unprotectRtp(Buffer.from(packet), packet.length) >= 0;
      receiver.close();
      if (opened) return `rtp ${ssrc} ${index}`;
    }
    return undefined;
  }
}

export interface IndexFindings {
  /** Indices under which two different packets were seen, as `rtp SSRC 65540`, `rtcp SSRC 7`. */
  readonly reused: readonly string[];
  /** Seen twice and the same to the last octet: no harm, but no relay should do that either. */
  readonly repeated: readonly string[];
  /** Genuine under no rollover counter. */
  readonly unreadable: readonly string[];
  readonly rtpPackets: number;
  readonly rtcpPackets: number;
}
