/** What an end says of its packets (RFC 8866 §6.4): what it would like, and the most that it takes. */
export interface PacketTimes {
  readonly ptimeMs?: number;
  readonly maxptimeMs?: number;
}

/** RFC 3551 §4.2. */
export const DEFAULT_PACKET_MS = 20;
/** What media makes. */
const MADE_MS = [60, 40, 30, 20, 10];

/** How long packets are that are made for such an end: the longest of ours that is no longer than it likes, and none that it does not take. */
export function packetMsFor({ ptimeMs = DEFAULT_PACKET_MS, maxptimeMs = ptimeMs }: PacketTimes): number {
  const most = Math.min(ptimeMs, maxptimeMs);
  return MADE_MS.find((ms) => ms <= most) ?? 10;
}

/** Those two alone, to be said on to the other end: packets pass as they are where nothing is transcoded. */
export const packetTimes = ({ ptimeMs, maxptimeMs }: PacketTimes): PacketTimes => ({
  ...(ptimeMs === undefined ? {} : { ptimeMs }),
  ...(maxptimeMs === undefined ? {} : { maxptimeMs }),
});
