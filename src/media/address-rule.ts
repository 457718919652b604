import { UdpAddress } from '../native/index.ts';

/*
 * Where a peer's packets may come from and where ours go (PH-EDGE-08). SRTP follows the source of authenticated packets. Plain RTP is
 * learned once, and re-learned only after 2 s of silence with the same SSRC: so a stranger cannot pull a running stream
 * away, and a phone whose NAT mapping changed is heard again within 5 s. With ICE nothing is learned here: see `ice-path.ts`. An address that was only signalled gets 5 s of
 * media, so that nobody can have a third party flooded.
 */
const RELEARN_AFTER_MS = 2000;
const UNCONFIRMED_LIMIT_MS = 5000;
/** After a new address was signalled, packets still under way from the old one must not be learned. */
const STRAGGLER_MS = 1000;

/** One direction's peer address: signalled, then confirmed by what comes from it. */
export class Remote {
  readonly address = new UdpAddress();
  /** Something may be sent at all. */
  known = false;
  confirmed = false;
  /** Nothing is learned from packets: internal links, whose address is one of our own, and ICE, where the peer nominates it. */
  pinned = false;
  /** Where pinned: media is taken from these too, and never sent there. */
  peers: readonly { readonly address: UdpAddress }[] | undefined;
  /** When the first packet went to an unconfirmed address; -1: none yet. */
  firstSentMs = -1;
  lastHeardMs = -1;
  readonly #previous = new UdpAddress();
  #previousUntilMs = -1;

  /** A new address by signalling. Unspecified, multicast and broadcast ones get nothing. */
  signal(address: UdpAddress | undefined, nowMs: number): void {
    const sendable = address !== undefined && !address.unsendable;
    if (sendable && this.known && this.address.equals(address)) return;
    if (this.confirmed) {
      this.#previous.copyFrom(this.address);
      this.#previousUntilMs = nowMs + STRAGGLER_MS;
    }
    this.known = sendable;
    this.confirmed = this.pinned && sendable;
    this.firstSentMs = -1;
    if (sendable) this.address.copyFrom(address);
  }

  /** Whether a pinned address keeps this packet out. */
  keepsOut(from: UdpAddress): boolean {
    if (!this.pinned || (this.known && this.address.equals(from))) return false;
    if (this.peers !== undefined)
      for (const { address } of this.peers) if (address.equals(from)) return false;
    return true;
  }

  /** An authenticated packet that is newer than all before came from here. True: the address is another than before. */
  follow(from: UdpAddress, nowMs: number): boolean {
    this.lastHeardMs = nowMs;
    if (this.pinned || (this.confirmed && this.address.equals(from))) return false;
    return this.#learn(from);
  }

  /** Whether a plain packet from here is the peer's. `learned` tells whether that was news. */
  accepts(from: UdpAddress, sameSsrc: boolean, nowMs: number): boolean {
    if (this.pinned || (this.confirmed && this.address.equals(from))) {
      this.lastHeardMs = nowMs;
      return true;
    }
    if (this.confirmed) {
      if (!sameSsrc || nowMs - this.lastHeardMs <= RELEARN_AFTER_MS) return false;
    } else if (nowMs < this.#previousUntilMs && this.#previous.equals(from)) return false;
    if (from.unsendable) return false;
    this.#learn(from);
    this.lastHeardMs = nowMs;
    return true;
  }

  /** Whether a packet may go there now. */
  maySend(nowMs: number): boolean {
    if (!this.known) return false;
    if (this.confirmed) return true;
    if (this.firstSentMs < 0) this.firstSentMs = nowMs;
    return nowMs - this.firstSentMs <= UNCONFIRMED_LIMIT_MS;
  }

  #learn(from: UdpAddress): boolean {
    if (from.unsendable) return false;
    const moved = !this.confirmed || !this.address.equals(from);
    this.address.copyFrom(from);
    this.known = true;
    this.confirmed = true;
    return moved;
  }
}

/** The same host, whatever the port. */
export function sameHost(a: UdpAddress, b: UdpAddress): boolean {
  if (a.family !== b.family || a.words[0] !== b.words[0]) return false;
  return (
    a.family === 4 || (a.words[1] === b.words[1] && a.words[2] === b.words[2] && a.words[3] === b.words[3])
  );
}
