/**
 * UDPTL, which carries T.38's packets in datagrams (ITU-T T.38 §9.1, Annex A; aligned PER): a number of 16 bits, the packet, and the packets
 * before it once more, the latest first. Error correction by parity is not made, and not read.
 */
export interface UdptlOptions {
  /** How many earlier packets go along with each. */
  readonly redundancy: number;
}

/** Open types of up to 127 octets have one octet of length, longer ones two (X.691 §10.9.3). */
const SHORT = 0x80;
const MOST_OCTETS = 0x3fff;
/** Beyond this many numbers ahead nobody waits for what is between. */
const MOST_AHEAD = 0x8000;

export class UdptlSender {
  readonly #redundancy: number;
  readonly #earlier: Buffer[] = [];
  #sequence = 0;

  constructor({ redundancy }: UdptlOptions) {
    this.#redundancy = redundancy;
  }

  /** The datagram of the next packet. */
  wrap(packet: Buffer): Buffer {
    const earlier = this.#earlier.slice(0, this.#redundancy);
    const head = Buffer.alloc(2);
    head.writeUInt16BE(this.#sequence);
    this.#sequence = (this.#sequence + 1) & 0xffff;
    this.#earlier.unshift(packet);
    this.#earlier.length = Math.min(this.#earlier.length, this.#redundancy);
    // 0: the choice of error recovery is repetition.
    const count = Buffer.from([0, earlier.length]);
    return Buffer.concat([head, ...sized(packet), count, ...earlier.flatMap(sized)]);
  }
}

function sized(packet: Buffer): Buffer[] {
  if (packet.length > MOST_OCTETS) throw new Error(`a T.38 packet of ${packet.length} octets`);
  const { length } = packet;
  return [Buffer.from(length < SHORT ? [length] : [SHORT | (length >> 8), length & 0xff]), packet];
}

export class UdptlReceiver {
  /** Packets that came first as a repetition: what was lost and won back. */
  recovered = 0;
  /** Packets that never came. */
  lost = 0;
  malformed = 0;
  #next: number | undefined;
  readonly #deliver: (packet: Buffer, sequence: number) => void;

  constructor(deliver: (packet: Buffer, sequence: number) => void) {
    this.#deliver = deliver;
  }

  take(datagram: Buffer): void {
    const read = readDatagram(datagram);
    if (read === undefined) {
      this.malformed++;
      return;
    }
    const { sequence, packets } = read;
    const next = this.#next ?? sequence;
    const ahead = (sequence - next) & 0xffff;
    if (ahead >= MOST_AHEAD) return;
    const repeated = Math.min(ahead, packets.length - 1);
    this.lost += ahead - repeated;
    this.recovered += repeated;
    for (let back = repeated; back >= 0; back--) this.#deliver(packets[back]!, (sequence - back) & 0xffff);
    this.#next = (sequence + 1) & 0xffff;
  }
}

/** The packets of a datagram, its own first; undefined for what is none. */
function readDatagram(datagram: Buffer): { sequence: number; packets: Buffer[] } | undefined {
  if (datagram.length < 3) return undefined;
  let at = 2;
  const open = (): Buffer | undefined => {
    const first = datagram[at++] ?? 0;
    const length = first < SHORT ? first : ((first & 0x3f) << 8) | (datagram[at++] ?? 0);
    at += length;
    return at > datagram.length ? undefined : datagram.subarray(at - length, at);
  };
  const primary = open();
  if (primary === undefined) return undefined;
  const packets = [primary];
  const isRepetition = ((datagram[at++] ?? SHORT) & SHORT) === 0;
  const count = isRepetition ? (datagram[at++] ?? 0) : 0;
  for (let i = 0; i < count; i++) {
    const packet = open();
    if (packet === undefined) return undefined;
    packets.push(packet);
  }
  return { sequence: datagram.readUInt16BE(0), packets };
}
