import { failed, ok, type Random, type Result } from '../base/index.ts';
import type { MediaDescription } from './description.ts';

/** The suites that are spoken (RFC 4568 §6.2, RFC 6188, RFC 7714). Never those with short tags (`_32`, `_8`). */
export type SrtpSuite =
  | 'AEAD_AES_256_GCM'
  | 'AEAD_AES_128_GCM'
  | 'AES_256_CM_HMAC_SHA1_80'
  | 'AES_CM_128_HMAC_SHA1_80';

/** Octets of master key and master salt together. */
export const KEY_SALT_LENGTH: Readonly<Record<SrtpSuite, number>> = {
  AEAD_AES_256_GCM: 32 + 12,
  AEAD_AES_128_GCM: 16 + 12,
  AES_256_CM_HMAC_SHA1_80: 32 + 14,
  AES_CM_128_HMAC_SHA1_80: 16 + 14,
};

/** An `a=crypto` line (RFC 4568 §9.1) with one key of ours or of the peer's. */
export interface CryptoLine {
  readonly tag: number;
  readonly suite: SrtpSuite;
  /** Master key and salt, concatenated, in padded base64. */
  readonly keySalt: string;
}

/** An `a=crypto` line as it came, whatever it asks for. */
export interface OfferedCrypto {
  readonly tag: number;
  readonly suite: string;
  /** The first key, in padded base64. */
  readonly keySalt: string;
  /** `2^48`, or a number of packets, as written. */
  readonly lifetime?: string;
  /** `value:length`. The peer's packets carry it. */
  readonly mki?: string;
  readonly sessionParams: readonly string[];
}

export type MediaProfile = 'app' | 'browser' | 'desk-128' | 'desk-256' | 'trunk' | 'plain';

/** 256 bits before 128, GCM before counter mode: PH-SEC-03, TR-MEDIA-05. */
const STRONGEST_FIRST: readonly SrtpSuite[] = [
  'AEAD_AES_256_GCM',
  'AES_256_CM_HMAC_SHA1_80',
  'AEAD_AES_128_GCM',
  'AES_CM_128_HMAC_SHA1_80',
];

const SUITE_ORDERS: Readonly<Record<MediaProfile, readonly SrtpSuite[]>> = {
  app: STRONGEST_FIRST,
  browser: STRONGEST_FIRST,
  trunk: STRONGEST_FIRST,
  // PH-SEC-04: AES-128 by default. RFC 4568 makes every device know it; the others serve one that offers nothing else.
  'desk-128': ['AES_CM_128_HMAC_SHA1_80', 'AEAD_AES_128_GCM', 'AES_256_CM_HMAC_SHA1_80', 'AEAD_AES_256_GCM'],
  'desk-256': ['AES_256_CM_HMAC_SHA1_80', 'AEAD_AES_256_GCM', 'AES_CM_128_HMAC_SHA1_80', 'AEAD_AES_128_GCM'],
  plain: [],
};

/** Suites for a device in order of preference; `prefer256` is the site's switch, which only desk phones need (PH-SEC-04). */
export const suiteOrder = (profile: MediaProfile, prefer256 = false): readonly SrtpSuite[] =>
  SUITE_ORDERS[profile === 'desk-128' && prefer256 ? 'desk-256' : profile];

export const isSrtpSuite = (text: string): text is SrtpSuite => Object.hasOwn(KEY_SALT_LENGTH, text);

/** The well-formed `a=crypto` lines of a medium, in their order. */
export function cryptosOf(media: MediaDescription): OfferedCrypto[] {
  const lines: OfferedCrypto[] = [];
  for (const { name, value } of media.attributes) {
    if (name !== 'crypto' || value === undefined) continue;
    const line = parseCrypto(value);
    if (line) lines.push(line);
  }
  return lines;
}

/** RFC 4568 §9.1: `tag suite inline:key||lifetime|mki:length[;inline:…] [session parameters]`. */
function parseCrypto(value: string): OfferedCrypto | undefined {
  const [tag, suite, keys, ...sessionParams] = value.trim().split(/[ \t]+/, 24);
  if (!tag || !/^\d{1,9}$/.test(tag) || !suite || !keys) return undefined;
  const first = keys.split(';', 1)[0]!;
  if (!/^inline:/i.test(first)) return undefined;
  const [key, ...extras] = first.slice('inline:'.length).split('|', 3);
  const keySalt = padBase64(key!);
  if (keySalt === undefined) return undefined;
  // Lifetime and MKI may each be missing; only the MKI has a colon.
  const mki = extras.find((part) => part.includes(':'));
  const lifetime = extras.find((part) => part !== '' && !part.includes(':'));
  return {
    tag: Number(tag),
    suite,
    keySalt,
    ...(lifetime !== undefined && { lifetime }),
    ...(mki !== undefined && { mki }),
    sessionParams,
  };
}

/** RFC 7714's long keys end in `=`, which some phones leave out: both are read, the padded form is kept. */
function padBase64(text: string): string | undefined {
  const bare = text.replace(/={1,2}$/, '');
  if (bare.length > 128 || !/^[A-Za-z0-9+/]+$/.test(bare) || bare.length % 4 === 1) return undefined;
  return bare + '='.repeat((4 - (bare.length % 4)) % 4);
}

/**
 * Whether we can work under a line: a suite of ours, a key of its length, no MKI, no session parameter that changes the
 * packets (RFC 4568 §6.3.7: one we do not know refuses the line unless it begins with `-`). Lines with an MKI are left
 * aside whole: it would lengthen every packet, and the phones that write one offer another line too.
 */
export function usableCrypto(line: OfferedCrypto): CryptoLine | undefined {
  if (!isSrtpSuite(line.suite) || line.mki !== undefined) return undefined;
  if (Buffer.from(line.keySalt, 'base64').length !== KEY_SALT_LENGTH[line.suite]) return undefined;
  if (!line.sessionParams.every((parameter) => /^-|^WSH=\d{1,5}$/i.test(parameter))) return undefined;
  return { tag: line.tag, suite: line.suite, keySalt: line.keySalt };
}

/** The offered line to take: the first suite of `order` that the peer offers in a form we can use. */
export function chooseCrypto(
  offered: readonly OfferedCrypto[],
  order: readonly SrtpSuite[],
): CryptoLine | undefined {
  for (const suite of order) {
    for (const line of offered) {
      const usable = line.suite === suite ? usableCrypto(line) : undefined;
      if (usable) return usable;
    }
  }
  return undefined;
}

/** A fresh master key and salt for a suite, in padded base64. */
export const newKeySalt = (suite: SrtpSuite, random: Random): string =>
  Buffer.from(random.bytes(KEY_SALT_LENGTH[suite])).toString('base64');

/** Lines for an offer, each with a key of its own: tags 1, 2 … in the order of preference. */
export const offerCrypto = (order: readonly SrtpSuite[], random: Random): CryptoLine[] =>
  order.map((suite, at) => ({ tag: at + 1, suite, keySalt: newKeySalt(suite, random) }));

/** Our line for an answer: the tag and suite of the line taken, a key of our own (RFC 4568 §5.1.2). */
export const answerCrypto = (taken: CryptoLine, random: Random): CryptoLine => ({
  tag: taken.tag,
  suite: taken.suite,
  keySalt: newKeySalt(taken.suite, random),
});

/** What an answer made of the lines we offered: our own key and the peer's. */
export interface CryptoPair {
  readonly suite: SrtpSuite;
  readonly sendKeySalt: string;
  readonly receiveKeySalt: string;
}

/**
 * Matches an answer's line with ours (RFC 4568 §5.1.3). `no_srtp`: the answer has none, so media is plain;
 * `bad_answer`: it has lines but none that answers ours, so no media is possible.
 */
export function acceptCryptoAnswer(
  ours: readonly CryptoLine[],
  answered: readonly OfferedCrypto[],
): Result<CryptoPair, 'no_srtp' | 'bad_answer'> {
  if (answered.length === 0) return failed('no_srtp');
  for (const line of answered) {
    const usable = usableCrypto(line);
    // Some phones answer with tag 1 whatever they took: the suite decides, the tag breaks a tie.
    const mine =
      ours.find((own) => own.suite === usable?.suite && own.tag === usable.tag) ??
      ours.find((own) => own.suite === usable?.suite);
    if (usable && mine) {
      return ok({ suite: usable.suite, sendKeySalt: mine.keySalt, receiveKeySalt: usable.keySalt });
    }
  }
  return failed('bad_answer');
}
