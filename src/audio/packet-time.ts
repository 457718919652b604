/** How much audio a packet holds, ms: what phones ask for (`a=ptime`, RFC 8866 §6.4), and of what every codec here has whole frames. */
export const PACKET_TIMES = [10, 20, 30, 40, 60] as const;
export type PacketMs = (typeof PACKET_TIMES)[number];

/** RFC 3551 §4.2. */
export const DEFAULT_PACKET_MS: PacketMs = 20;

export const isPacketMs = (value: unknown): value is PacketMs =>
  (PACKET_TIMES as readonly unknown[]).includes(value);

/** Of what the peer asked for, what the codec has: no frames of 30 ms in Opus (RFC 6716 §2.1.4), and 60 ms of L16 at 16 kHz are more than a packet. */
export const packetMsFor = (
  asked: unknown,
  { name, clockRateHz }: { name: string; clockRateHz: number },
): PacketMs => {
  const packetMs = isPacketMs(asked) ? asked : DEFAULT_PACKET_MS;
  if (name === 'opus' && packetMs === 30) return 20;
  return name === 'l16' && clockRateHz > 8000 && packetMs > 30 ? 30 : packetMs;
};

/**
 * What an Opus speaker is asked for and what is encoded here, bit/s: the headers cost less in longer packets, so that speech takes 60 to 100 kbit/s
 * on the wire in each (PH-QOS-05), from plain RTP over IPv4 (40 octets) to AES-GCM over IPv6 (76).
 */
export const OPUS_BITS_PER_SEC: Readonly<Record<PacketMs, number>> = {
  10: 38_000,
  20: 50_000,
  30: 50_000,
  40: 59_000,
  60: 61_500,
};
