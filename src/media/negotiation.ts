import type { UdpAddress } from '../native/index.ts';
import { receiveStun } from './ice-check.ts';
import { tickIce } from './ice-path.ts';
import type { RelayPort } from './relay.ts';
import type { Stream } from './stream.ts';

/*
 * What shares the RTP port with media where a stream finds its path and its keys there by itself (RFC 7983): STUN for ICE, records of
 * DTLS. `Relay.receive` tells them from RTP by one comparison, so that streams without either pay nothing else.
 */

/**
 * The DTLS association of one stream (RFC 5764), as the packet path knows it. It sends through `port.send(stream, false, …, false)`, gives
 * its keys to the stream and says the `transport` event. Nothing that it is given may make it throw.
 */
export interface DtlsTransport {
  /**
   * A record came. `from` is the peer's if the stream has ICE; otherwise anybody's. Answers go to `stream.rtp.address` where that is
   * confirmed, otherwise back to `from`. `packet` is lent for the time of the call.
   */
  receive(port: RelayPort, packet: Buffer, length: number, from: UdpAddress, nowMs: number): void;
  /** The stream's spec was said (again), its path was found or has changed, or a quarter of a second went by: begins, repeats, gives up. */
  tick(port: RelayPort, nowMs: number): void;
  /** In the middle of a handshake, which no other process can finish: the stream is not handed over now. */
  readonly handshaking: boolean;
  close(): void;
}

/** The first octets of what is neither RTP nor RTCP (RFC 7983 §7). */
const STUN_LAST = 3;
const DTLS_FIRST = 20;
const DTLS_LAST = 63;

/** A packet whose first octet is below 128 came to a stream that negotiates. RTCP shares its port too (RFC 5761), so nothing else has one. */
export function receiveShared(
  port: RelayPort,
  stream: Stream,
  onRtcp: boolean,
  packet: Buffer,
  length: number,
  from: UdpAddress,
  nowMs: number,
): void {
  const first = packet[0]!;
  if (!onRtcp && first <= STUN_LAST && stream.ice !== undefined)
    receiveStun(port, stream, stream.ice, packet, length, from, nowMs);
  else if (!onRtcp && first >= DTLS_FIRST && first <= DTLS_LAST && stream.dtls !== undefined)
    if (stream.rtp.keepsOut(from)) stream.counts.refusedStranger++;
    else stream.dtls.receive(port, packet, length, from, nowMs);
  else stream.counts.refusedMalformed++;
}

/** To be called when the stream was put, and about four times a second. */
export function tickNegotiation(port: RelayPort, stream: Stream, nowMs: number): void {
  if (stream.ice !== undefined) tickIce(port, stream, stream.ice, nowMs);
  stream.dtls?.tick(port, nowMs);
}
