/** NTP's 64-bit time (RFC 5905 §6) from and to milliseconds since the Unix epoch. */
export interface NtpTime {
  /** Since 1900, modulo 2^32. */
  readonly seconds: number;
  /** 2^-32 s. */
  readonly fraction: number;
}

const SECONDS_1900_TO_1970 = 2_208_988_800;
const WORD = 2 ** 32;

export function ntpOf(utcMs: number): NtpTime {
  const wholeSec = Math.floor(utcMs / 1000);
  const fraction = Math.min(WORD - 1, Math.floor(((utcMs - wholeSec * 1000) / 1000) * WORD));
  return { seconds: (wholeSec + SECONDS_1900_TO_1970) % WORD, fraction };
}

/** Of NTP's era 0, which ends in 2036. */
export const utcMsOf = ({ seconds, fraction }: NtpTime): number =>
  (seconds - SECONDS_1900_TO_1970) * 1000 + (fraction / WORD) * 1000;

/** The middle 32 bits, as report blocks quote a sender report (RFC 3550 §6.4.1): units of 1/65536 s. */
export const compactNtp = ({ seconds, fraction }: NtpTime): number =>
  (((seconds & 0xffff) << 16) | (fraction >>> 16)) >>> 0;

/** Round-trip time from a report block that came at `nowMs` (RFC 3550 §6.4.1); undefined when it quotes no SR of ours. */
export function roundTripMs(nowUtcMs: number, lastSr: number, delaySinceLastSr: number): number | undefined {
  if (lastSr === 0) return undefined;
  const units = (compactNtp(ntpOf(nowUtcMs)) - lastSr - delaySinceLastSr) >> 0;
  // Clocks that differ in rate make it slightly negative on a fast net.
  return Math.max(0, (units / 65_536) * 1000);
}
