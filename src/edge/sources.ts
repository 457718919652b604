import type { Clock } from '../base/index.ts';
import type { EdgeLimits } from './limits.ts';

interface Source {
  newWork: number;
  refusals: number;
  emergency: number;
  /** When the buckets were last filled. */
  filledMs: number;
  badInARow: number;
  lastGoodMs: number;
  mutedUntilMs: number;
}

/**
 * What each address may ask of us (PH-EDGE-11): token buckets for new work, for refusals and for emergency calls, and silence
 * toward those who send only rubbish. Bounded: with more addresses than `sources` the oldest are forgotten, which
 * gives a flood from forged addresses nothing but full buckets.
 */
export class Sources {
  readonly #byAddress = new Map<string, Source>();
  readonly #unlimited: ReadonlySet<string>;
  readonly #clock: Clock;
  readonly #limits: EdgeLimits;

  constructor(clock: Clock, limits: EdgeLimits) {
    this.#clock = clock;
    this.#limits = limits;
    this.#unlimited = new Set(limits.unlimitedSources);
  }

  get size(): number {
    return this.#byAddress.size;
  }

  /** One more piece of new work: false when the source has had its share. */
  mayAskNewWork(address: string): boolean {
    return this.#take(address, 'newWork');
  }

  /** One more 400 or 503: false where silence is the better answer. */
  mayBeRefused(address: string): boolean {
    return this.#take(address, 'refusals');
  }

  mayCallEmergency(address: string): boolean {
    // Also on an unlimited address: the reserve is for people, not for load.
    return this.#takeFrom(this.#filled(address), 'emergency');
  }

  isMuted(address: string): boolean {
    const source = this.#byAddress.get(sourceKey(address));
    return source !== undefined && source.mutedUntilMs > this.#clock.nowMs();
  }

  /** A message that could be read. */
  good(address: string): void {
    const source = this.#byAddress.get(sourceKey(address));
    if (!source) return;
    source.badInARow = 0;
    source.lastGoodMs = this.#clock.nowMs();
  }

  /** A message that could not: true when the source is muted from now on. */
  bad(address: string): boolean {
    if (this.#isUnlimited(address)) return false;
    const source = this.#filled(address);
    const now = this.#clock.nowMs();
    if (++source.badInARow < this.#limits.muteAfterBad) return false;
    // Datagrams can be forged: nobody shall silence a phone by sending rubbish in its name.
    if (now - source.lastGoodMs < TRUSTED_MS) return false;
    source.badInARow = 0;
    source.mutedUntilMs = now + this.#limits.muteMs;
    return true;
  }

  #isUnlimited(address: string): boolean {
    if (this.#unlimited.has(address)) return true;
    return this.#unlimited.has('loopback') && (address.startsWith('127.') || address === '::1');
  }

  #take(address: string, bucket: 'newWork' | 'refusals'): boolean {
    return this.#isUnlimited(address) || this.#takeFrom(this.#filled(address), bucket);
  }

  #takeFrom(source: Source, bucket: 'newWork' | 'refusals' | 'emergency'): boolean {
    if (source[bucket] < 1) return false;
    source[bucket] -= 1;
    return true;
  }

  #filled(address: string): Source {
    const key = sourceKey(address);
    const now = this.#clock.nowMs();
    const { newWorkPerSec, newWorkBurst, refusalsPerSec, refusalBurst, emergencyPerSourcePerMinute } =
      this.#limits;
    const known = this.#byAddress.get(key);
    if (known) {
      const passedSec = (now - known.filledMs) / 1_000;
      known.filledMs = now;
      known.newWork = Math.min(newWorkBurst, known.newWork + passedSec * newWorkPerSec);
      known.refusals = Math.min(refusalBurst, known.refusals + passedSec * refusalsPerSec);
      known.emergency = Math.min(
        emergencyPerSourcePerMinute,
        known.emergency + (passedSec * emergencyPerSourcePerMinute) / 60,
      );
      return known;
    }
    if (this.#byAddress.size >= this.#limits.sources) {
      const [oldest] = this.#byAddress.keys();
      this.#byAddress.delete(oldest!);
    }
    const source: Source = {
      newWork: newWorkBurst,
      refusals: refusalBurst,
      emergency: emergencyPerSourcePerMinute,
      filledMs: now,
      badInARow: 0,
      lastGoodMs: Number.NEGATIVE_INFINITY,
      mutedUntilMs: 0,
    };
    this.#byAddress.set(key, source);
    return source;
  }
}

/** A phone speaks at least once in its registration's life. */
const TRUSTED_MS = 3_600_000;

/** A household has a /64 of IPv6 addresses (RFC 6177), so its first four groups are the source. */
function sourceKey(address: string): string {
  if (!address.includes(':')) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped) return mapped[1]!;
  const [head = '', tail] = address.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros =
    tail === undefined ? [] : Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0');
  return [...left, ...zeros, ...right].slice(0, 4).join(':');
}
