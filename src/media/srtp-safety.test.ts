import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { IndexAudit } from '../../test/support/index-audit.ts';
import { PacketPath, rtpPacket, type Sent } from '../../test/support/packet-path.ts';
import { spec } from '../../test/support/stream-spec.ts';
import type { StreamId } from '../base/index.ts';
import { createSrtpReceiver, createSrtpSender, keySaltLength, SRTP_REPLAY, writeRtcp } from '../rtp/index.ts';
import { exactOf, goOnExactly } from './exact.ts';
import type { SrtpKey, SrtpSuite } from './protocol.ts';
import { applyProgress, applyState, progressOf, type StreamState, stateOf } from './record.ts';
import type { Stream } from './stream.ts';
import { prepare } from './take-over.ts';

/*
 * TR-MEDIA-09: whatever happens to the process that serves a stream, no two different packets leave under one key, SSRC and index. Histories
 * of two phones that talk through a pair of media processes, with loss, reordering and repetition about the wrap of their sequence
 * numbers, while the serving process is killed or drained again and again.
 */

const SUITES: readonly SrtpSuite[] = [
  'AEAD_AES_256_GCM',
  'AEAD_AES_128_GCM',
  'AES_256_CM_HMAC_SHA1_80',
  'AES_CM_128_HMAC_SHA1_80',
];
type Protection = SrtpSuite | 'plain';
const PROTECTIONS: readonly Protection[] = [...SUITES, 'plain'];

let keys = 0;
const newKey = (suite: Protection): SrtpKey | undefined =>
  suite === 'plain'
    ? undefined
    : { suite, keySalt: Buffer.alloc(keySaltLength(suite), ++keys % 251).toString('base64') };

interface Leg {
  readonly id: 'alice' | 'bob';
  readonly place: string;
  readonly send: SrtpKey | undefined;
  readonly receive: SrtpKey | undefined;
}

/** What the twin was told of a stream, as `MirrorStandBy` keeps it: a copy, taken at the moment of telling. */
type Told = Map<string, StreamState>;

class Zone {
  path = new PacketPath();
  readonly told: Told = new Map();
  readonly legs: readonly [Leg, Leg];
  readonly #ssrcs = new Map<string, number>();

  constructor(left: Protection, right: Protection) {
    this.legs = [
      { id: 'alice', place: '127.0.0.1:5000', send: newKey(left), receive: newKey(left) },
      { id: 'bob', place: '127.0.0.1:6000', send: newKey(right), receive: newKey(right) },
    ];
    this.#serve();
    for (const { id } of this.legs) this.#ssrcs.set(id, this.path.stream(id).ssrc);
    this.tell();
  }

  #serve(): void {
    for (const [i, { id, place, send, receive }] of this.legs.entries()) {
      const stream = this.path.put(
        spec(id, {
          port: Number(place.split(':')[1]),
          rtcpMux: true,
          source: this.legs[1 - i]!.id,
          ...(send && { sendKey: send }),
          ...(receive && { receiveKey: receive }),
        }),
      );
      const ssrc = this.#ssrcs.get(id);
      if (ssrc !== undefined) stream.feed.ssrc = ssrc;
    }
    this.path.onTold = (stream) => this.told.set(stream.id, structuredClone(stateOf(stream)));
  }

  tell(): void {
    for (const { id } of this.legs) this.path.onTold(this.path.stream(id));
  }

  /** Once a second; what it leaves out is left out here too. */
  progress(): void {
    for (const { id } of this.legs) {
      const copy = new PacketPath().put(this.path.stream(id).spec);
      applyState(copy, this.told.get(id)!);
      applyProgress(copy, structuredClone(progressOf(this.path.stream(id))));
      this.told.set(id, structuredClone(stateOf(copy)));
    }
  }

  /** Carol says two words to Bob. */
  transfer(words: number): Sent[] {
    const bob = this.path.stream('bob').spec;
    const port = 7000;
    this.path.put(spec('carol', { port, rtcpMux: true }));
    this.path.put({ ...bob, source: 'carol' as StreamId });
    const sent = [words, words + 1].flatMap((sequence) =>
      this.path.turn(
        'carol',
        rtpPacket({ sequence, ssrc: 99, payload: Buffer.alloc(8, 255) }),
        `127.0.0.1:${port}`,
      ),
    );
    this.path.put(bob);
    // A put tells the twin.
    this.path.onTold(this.path.stream('bob'));
    return sent;
  }

  killed(): void {
    this.#goOn((stream) => {
      applyState(stream, this.told.get(stream.id)!);
      prepare(stream, this.path.nowMs);
    });
  }

  drained(): void {
    const before = this.path;
    this.#goOn((stream) => {
      const owned = before.stream(stream.id);
      applyState(stream, structuredClone(stateOf(owned)));
      goOnExactly(stream, JSON.parse(JSON.stringify(exactOf(owned))), before.nowMs);
    });
  }

  #goOn(take: (stream: Stream) => void): void {
    const { nowMs } = this.path;
    this.path = new PacketPath();
    this.path.nowMs = nowMs;
    this.#serve();
    for (const { id } of this.legs) take(this.path.stream(id));
    this.tell();
  }
}

/** A phone's packets, ready made, in the order in which they are sent; RTCP among them. */
function packetsOf(leg: Leg, first: number, count: number): Buffer[] {
  const sender = leg.receive && createSrtpSender(leg.receive);
  const packets: Buffer[] = [];
  for (let index = first; index < first + count; index++) {
    const slot = Buffer.alloc(256);
    const payload = Buffer.alloc(8);
    payload.writeDoubleBE(index);
    const ssrc = leg.id === 'alice' ? 77 : 88;
    rtpPacket({ sequence: index & 0xffff, timestamp: (index * 160) >>> 0, ssrc, payload }).copy(slot);
    const rtpLength = sender?.protectRtpAt(slot, 20, index) ?? 20;
    packets.push(Buffer.from(slot.subarray(0, rtpLength)));
    if (index % 5 !== 0) continue;
    const length = writeRtcp(slot, [report(ssrc, index), sdes(ssrc)]);
    const rtcpLength = sender?.protectRtcp(slot, length) ?? length;
    packets.push(Buffer.from(slot.subarray(0, rtcpLength)));
  }
  return packets;
}

/** Each is another's, so that two under one index are never the same octets. */
const report = (ssrc: number, index: number) =>
  ({
    type: 'sr',
    ssrc,
    ntpSec: index,
    ntpFraction: 0,
    rtpTimestamp: (index * 160) >>> 0,
    packetCount: 0,
    octetCount: 0,
    reports: [],
  }) as const;

const sdes = (ssrc: number) =>
  ({ type: 'sdes', chunks: [{ ssrc, items: [{ type: 1, text: 'x' }] }] }) as const;

/** What a phone makes of what it hears: the numbers that lie in the payloads, and what it could not open. */
class Ear {
  readonly heard: number[] = [];
  readonly refused: number[] = [];
  readonly audit: IndexAudit | undefined;
  readonly #receiver: ReturnType<typeof createSrtpReceiver> | undefined;

  constructor(key: SrtpKey | undefined) {
    this.audit = key && new IndexAudit(key);
    this.#receiver = key && createSrtpReceiver(key);
  }

  hear({ packet }: Sent): void {
    this.audit?.see(packet);
    const copy = Buffer.from(packet);
    const isRtcp = (copy[1]! & 0x7f) >= 72 && (copy[1]! & 0x7f) <= 79;
    const opened = isRtcp
      ? (this.#receiver?.unprotectRtcp(copy, copy.length) ?? 0)
      : (this.#receiver?.unprotectRtp(copy, copy.length) ?? 0);
    if (opened < 0) this.refused.push(opened);
    else if (!isRtcp) this.heard.push(copy.readDoubleBE(12));
  }
}

type Step =
  | { readonly do: 'send'; readonly leg: 0 | 1; readonly ahead: number; readonly twice: boolean }
  | { readonly do: 'lose'; readonly leg: 0 | 1 }
  /** An old packet again, from whoever recorded it. */
  | { readonly do: 'replay'; readonly leg: 0 | 1; readonly back: number }
  /** Bob hears somebody else for a moment. */
  | { readonly do: 'transfer' }
  | { readonly do: 'progress' | 'kill' | 'kill-unsent' | 'drain' };

const leg = fc.constantFrom<0 | 1>(0, 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 30,
    arbitrary: fc.record({
      do: fc.constant('send' as const),
      leg,
      // Mostly in order; else one that is further on overtakes.
      ahead: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 4 })),
      twice: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, fc.constant(true)),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('lose' as const), leg }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('replay' as const), leg, back: fc.integer({ min: 1, max: 30 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'transfer' as const }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom<'progress' | 'kill' | 'kill-unsent' | 'drain'>(
        'progress',
        'kill',
        'kill-unsent',
        'drain',
      ),
    }),
  },
);

interface History {
  readonly first: readonly [number, number];
  readonly steps: readonly Step[];
}

const history: fc.Arbitrary<History> = fc.record({
  first: fc.tuple(fc.integer({ min: 65_480, max: 65_540 }), fc.integer({ min: 65_480, max: 65_540 })),
  steps: fc.array(step, { minLength: 60, maxLength: 160 }),
});

const PACKETS = 220;

interface Played {
  readonly ears: readonly Ear[];
  readonly deaths: number;
  /** What each phone said at the very end. */
  readonly last: readonly (readonly number[])[];
}

function play(left: Protection, right: Protection, { first, steps }: History): Played {
  const zone = new Zone(left, right);
  const queues = zone.legs.map((each, i) => packetsOf(each, first[i]! & 0xffff, PACKETS));
  const gone: Buffer[][] = [[], []];
  const ears = zone.legs.map(({ send }) => new Ear(send));
  let deaths = 0;
  let words = 500;
  const hear = (sent: readonly Sent[]) => {
    for (const out of sent) ears[out.by === 'alice' ? 0 : 1]!.hear(out);
  };
  const pass = (which: 0 | 1, bytes: Buffer, reaches = true) => {
    const { id, place } = zone.legs[which];
    zone.path.nowMs += 10;
    const sent = zone.path.turn(id, bytes, place);
    if (reaches) hear(sent);
  };
  const say = (which: 0 | 1, packet: Buffer, reaches = true) => {
    gone[which]!.push(packet);
    pass(which, packet, reaches);
  };
  const kill = () => {
    zone.killed();
    deaths++;
  };
  // A receiver that misses a stream's very first packets, across the wrap, can reckon no rollover counter, whoever sends (RFC 3711 §3.3.1).
  for (const which of [0, 1] as const) say(which, queues[which]!.shift()!);
  for (const each of steps)
    switch (each.do) {
      case 'send': {
        const [packet] = queues[each.leg]!.splice(each.ahead, 1);
        if (packet === undefined) break;
        say(each.leg, packet);
        if (each.twice) pass(each.leg, packet);
        break;
      }
      case 'lose':
        queues[each.leg]!.shift();
        break;
      case 'replay':
        pass(each.leg, gone[each.leg]!.at(-each.back) ?? gone[each.leg]![0]!);
        break;
      case 'transfer':
        words += 2;
        hear(zone.transfer(words));
        break;
      case 'progress':
        zone.progress();
        break;
      case 'kill':
        kill();
        break;
      case 'kill-unsent': {
        // It read a packet and told of it what it tells, and died before, or while, it left.
        const packet = queues[0]!.shift();
        if (packet !== undefined) say(0, packet, false);
        kill();
        break;
      }
      case 'drain':
        zone.drained();
        break;
    }
  for (const which of [0, 1] as const) for (const packet of queues[which]!.slice(-24)) say(which, packet);
  const last = first.map((each) => Array.from({ length: 6 }, (_, i) => (each & 0xffff) + PACKETS - 6 + i));
  return { ears, deaths, last };
}

/**
 * An adopter cannot know of a recorded packet that comes again just then whether its dead owner relayed it. If it passes it is, to the last
 * octet, what was sent before: the receiver takes it for a replay, and nothing is learned of the key.
 */
function expectSafe({ ears, deaths, last }: Played): void {
  let repetitions = 0;
  for (const [i, { audit, refused, heard }] of ears.entries()) {
    expect(heard.slice(-6)).toEqual(last[1 - i]);
    if (audit === undefined) continue;
    const { reused, repeated, unreadable } = audit.judge();
    expect({ reused, unreadable }).toEqual({ reused: [], unreadable: [] });
    // And no packet whose rollover counter is wrong.
    expect(refused).toEqual(repeated.map(() => SRTP_REPLAY));
    repetitions += repeated.length;
  }
  if (deaths === 0) expect(repetitions).toBe(0);
}

const mixes = PROTECTIONS.flatMap((left) => SUITES.map((right) => [left, right] as const));

describe('no packet index is used twice under one key, and every receiver reckons the rollover counter right', () => {
  test.each(mixes)(
    '%s ↔ %s: loss, reordering and replays about 65,536 while owners die and are drained',
    (left, right) => {
      fc.assert(
        fc.property(history, (each) => expectSafe(play(left, right, each))),
        { numRuns: 15 },
      );
    },
  );

  test('drained, nothing is lost either: each phone hears the same as if nothing had happened', () => {
    fc.assert(
      fc.property(history, fc.constantFrom(...mixes), (each, [left, right]) => {
        const without = (kinds: readonly string[]) => ({
          ...each,
          steps: each.steps.filter((one) => !kinds.includes(one.do)),
        });
        const drained = play(left, right, without(['kill', 'kill-unsent']));
        const quiet = play(left, right, without(['kill', 'kill-unsent', 'drain']));
        expect(drained.ears.map(({ heard }) => heard)).toEqual(quiet.ears.map(({ heard }) => heard));
      }),
      { numRuns: 60 },
    );
  });
});

test('the audit itself: it finds a reused index, of RTP and of RTCP, and is not fooled by the wrap', () => {
  const key = newKey('AEAD_AES_256_GCM')!;
  const audit = new IndexAudit(key);
  const protect = (index: number, text: string) => {
    const sender = createSrtpSender(key);
    const slot = Buffer.alloc(128);
    const plain = rtpPacket({ sequence: index & 0xffff, payload: text });
    plain.copy(slot);
    return Buffer.from(slot.subarray(0, sender.protectRtpAt(slot, plain.length, index)));
  };
  const rtcp = (ssrc: number) => {
    const sender = createSrtpSender(key);
    const slot = Buffer.alloc(128);
    const length = writeRtcp(slot, [{ type: 'rr', ssrc: 7, reports: [] }, sdes(ssrc)]);
    return Buffer.from(slot.subarray(0, sender.protectRtcp(slot, length)));
  };
  for (const packet of [protect(5, 'one'), protect(65_541, 'two'), rtcp(1)]) audit.see(packet);
  expect(audit.judge()).toMatchObject({ reused: [], repeated: [], rtpPackets: 2, rtcpPackets: 1 });
  for (const packet of [protect(5, 'one'), protect(65_541, 'three'), rtcp(2)]) audit.see(packet);
  expect(audit.judge()).toMatchObject({ reused: ['rtp 7 65541', 'rtcp 7 0'], repeated: ['rtp 7 5'] });
});
