import type { Random } from '../base/index.ts';
import { takeAnotherSsrc } from './numbering.ts';
import type { RelayPort } from './relay.ts';
import { cname, maySendRtcp, sendRtcp } from './relay-rtcp.ts';
import type { Stream } from './stream.ts';

/** Any of the 2^32, with the same chance. */
export function randomSsrc(random: Random): number {
  const [a = 0, b = 0, c = 0, d = 0] = random.bytes(4);
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}

/**
 * A genuine packet of the peer bears the SSRC under which we speak to it: we say BYE and take another (RFC 3550 §8.2). A leg is an RTP session
 * of its own, so that what the peers of a call choose never collides with each other.
 *
 * Only once in a stream's life. A peer that bears the next one too gives back what it is sent, as test tools do. The RFC has such a loop
 * ignored; we pass it on, as hearing oneself is what it is called for, unless the other end does the same: see `circles`.
 */
export function heedCollision(port: RelayPort, stream: Stream, random: Random, nowMs: number): void {
  if (stream.feed.collided) return;
  const before = stream.ssrc;
  let ssrc = before;
  while (ssrc === before) ssrc = randomSsrc(random);
  sayBye(port, stream, nowMs);
  takeAnotherSsrc(stream.feed, ssrc);
  port.note(stream);
}

/** What we said under this SSRC ends here (RFC 3550 §6.6), the stream does not. */
function sayBye(port: RelayPort, to: Stream, nowMs: number): void {
  const { ssrc } = to;
  if (!to.feed.everSent || !maySendRtcp(to, nowMs)) return;
  const bye = [
    { type: 'rr', ssrc, reports: [] },
    { type: 'sdes', chunks: [{ ssrc, items: [{ type: 1, text: cname(to) }] }] },
    { type: 'bye', ssrcs: [ssrc] },
  ] as const;
  sendRtcp(port, to, bye, nowMs);
}

/** Both peers give back what they are sent: a packet between them would go round for ever. */
export const circles = (from: Stream, to: Stream): boolean =>
  from.arrival.ssrc === from.ssrc && to.arrival.ssrc === to.ssrc;
