import { afterEach, describe, expect, test } from 'vitest';
import type { Sent } from '../../test/support/packet-path.ts';
import { PlanePath } from '../../test/support/plane-path.ts';
import { CODECS } from '../../test/support/tone-phone.ts';
import { type StreamId, seededRandom } from '../base/index.ts';
import { compactNtp, isRtcp, ntpOf, parseRtcp, type RtcpPacket, utcMsOf, writeRtcp } from '../rtp/index.ts';
import type { StreamSpec } from './protocol.ts';
import { reportOn } from './report.ts';
import { Reporter } from './reporting.ts';

const PCMU = CODECS['pcmu']!;
const PCMA = CODECS['pcma']!;

interface Said {
  readonly to: string;
  readonly atMs: number;
  readonly packets: readonly RtcpPacket[];
}

/** Alice and bob with the reports that they get, on virtual time from 0. */
class Talk extends PlanePath {
  readonly said: Said[] = [];
  readonly #reporter: Reporter;
  readonly #beganMs = this.clock.nowMs();

  constructor(seed = 1) {
    super();
    this.#reporter = new Reporter({ clock: this.clock, random: seededRandom(seed), port: this.path.port });
  }

  join(aliceHas: typeof PCMU, bobHas: typeof PCMU, more: Partial<StreamSpec> = {}): void {
    this.put('alice', aliceHas, { source: 'bob' as StreamId, ...more });
    this.put('bob', bobHas, { source: 'alice' as StreamId });
    this.talker('alice').hz = 500;
    this.talker('bob').hz = 1100;
  }

  get timeMs(): number {
    return this.clock.nowMs() - this.#beganMs;
  }

  talk(ms: number): void {
    for (let passed = 0; passed < ms; passed += 20) {
      this.run(1);
      if (this.timeMs % 260 !== 0) continue;
      this.path.left();
      for (const stream of this.path.graph) this.#reporter.attend(stream);
      this.#note(this.path.left());
    }
  }

  /** A compound of a peer comes. */
  hear(id: string, ...packets: Exclude<RtcpPacket, { type: 'other' }>[]): void {
    const bytes = Buffer.alloc(1024);
    const length = writeRtcp(bytes, packets);
    this.#note(this.path.turn(id, bytes.subarray(0, length), this.talker(id).from));
  }

  to(id: string): Said[] {
    return this.said.filter(({ to }) => to === id);
  }

  #note(sent: readonly Sent[]): void {
    for (const { by, packet } of sent) {
      if (!isRtcp(packet, packet.length)) continue;
      const parsed = parseRtcp(packet, packet.length);
      if (!parsed.ok) throw new Error(parsed.error);
      this.said.push({ to: by, atMs: this.timeMs, packets: parsed.value });
    }
  }
}

const talks: Talk[] = [];
function newTalk(seed?: number): Talk {
  const talk = new Talk(seed);
  talks.push(talk);
  return talk;
}
afterEach(() => {
  for (const talk of talks.splice(0)) talk.end();
});

const kinds = ({ packets }: Said) => packets.map(({ type }) => type);

describe('of what is made here', () => {
  test('sender reports leave every five seconds or so, not at the same time on each leg (RFC 3550 §6.2)', () => {
    const talk = newTalk();
    talk.join(PCMU, PCMA);
    talk.talk(60_000);
    for (const id of ['alice', 'bob']) {
      const times = talk.to(id).map(({ atMs }) => atMs);
      expect(times[0]).toBeGreaterThanOrEqual(1_250);
      expect(times[0]).toBeLessThanOrEqual(4_100);
      const waits = times.slice(1).map((atMs, i) => atMs - times[i]!);
      for (const wait of waits) expect(wait >= 2_500 && wait < 7_800, `${wait} ms`).toBe(true);
      expect(times.length).toBeGreaterThanOrEqual(9);
      expect(talk.to(id).every((said) => kinds(said).join() === 'sr,sdes')).toBe(true);
    }
    expect(talk.to('alice').map(({ atMs }) => atMs)).not.toEqual(talk.to('bob').map(({ atMs }) => atMs));
  });

  test('they count what was sent and tell when its clock stands at what time; their block is about what came', () => {
    const talk = newTalk();
    talk.join(PCMU, PCMA);
    talk.talk(9_880);
    const stream = talk.path.stream('alice');
    const [sr] = talk.to('alice').at(-1)!.packets;
    const { atMs } = talk.to('alice').at(-1)!;
    if (sr?.type !== 'sr') throw new Error('no sender report');
    const utcMs = utcMsOf({ seconds: sr.ntpSec, fraction: sr.ntpFraction });
    expect(utcMs).toBeCloseTo(talk.clock.utcMs() - (talk.timeMs - atMs), 2);
    // 8,000 a second of what was sent since.
    const sinceMs = talk.timeMs - atMs;
    const now = stream.feed.sentTimestamp + 8 * (talk.clock.nowMs() - stream.feed.sentAtMs);
    expect((now - sr.rtpTimestamp) >>> 0).toBe(8 * sinceMs);
    expect(sr.packetCount).toBe(stream.counts.packetsSent - sinceMs / 20);
    expect(sr.octetCount).toBe(160 * sr.packetCount);
    expect(sr.reports).toEqual([
      {
        ssrc: 7,
        fractionLost: 0,
        cumulativeLost: 0,
        highestSequence: 100 + atMs / 20 - 1,
        jitter: 0,
        lastSr: 0,
        delaySinceLastSr: 0,
      },
    ]);
  });

  test('what a peer says of them gives the round trip, and its own sender report is quoted', () => {
    const talk = newTalk();
    talk.join(PCMU, PCMA);
    talk.talk(5_000);
    const [sr] = talk.to('alice').at(-1)!.packets;
    if (sr?.type !== 'sr') throw new Error('no sender report');
    const { atMs } = talk.to('alice').at(-1)!;
    talk.talk(500);
    const quote = compactNtp({ seconds: sr.ntpSec, fraction: sr.ntpFraction });
    const own = ntpOf(Date.UTC(2026, 1, 1));
    talk.hear('alice', {
      type: 'sr',
      ssrc: 7,
      ntpSec: own.seconds,
      ntpFraction: own.fraction,
      rtpTimestamp: 1,
      packetCount: 1,
      octetCount: 1,
      reports: [
        {
          ssrc: sr.ssrc,
          fractionLost: 0,
          cumulativeLost: 0,
          highestSequence: 400,
          jitter: 0,
          lastSr: quote,
          // It thought for 300 ms.
          delaySinceLastSr: Math.round(0.3 * 65_536),
        },
      ],
    });
    const heardAtMs = talk.timeMs;
    expect(reportOn(talk.path.stream('alice')).roundTripMs?.average).toBeCloseTo(heardAtMs - atMs - 300, 1);
    // Bob is told nothing of it: he hears what is made here.
    expect(talk.to('bob').every((said) => kinds(said)[0] === 'sr')).toBe(true);
    talk.said.length = 0;
    talk.talk(8_000);
    const [next] = talk.to('alice');
    const [answer] = next!.packets;
    if (answer?.type !== 'sr') throw new Error('no sender report');
    expect(answer.reports[0]).toMatchObject({
      lastSr: compactNtp(own),
      delaySinceLastSr: Math.round(((next!.atMs - heardAtMs) / 1000) * 65_536),
    });
  });

  test('VoIP metrics go to who asked for them, and to nobody else (RFC 3611 §4.7, §5)', () => {
    const talk = newTalk();
    talk.join(PCMU, PCMA, { voipMetrics: true });
    talk.talk(8_000);
    const { ssrc } = talk.path.stream('bob');
    const voip = {
      ssrc,
      lossRate: 0,
      discardRate: 0,
      burstDensity: 0,
      gapDensity: 0,
      burstMs: 0,
      gapMs: 0,
      roundTripMs: 0,
      endSystemDelayMs: 0,
      gmin: 16,
      rxConfig: 0,
      jitterNominalMs: 40,
      jitterMaximumMs: 40,
      jitterAbsoluteMs: 40,
    };
    // Who sends them has not asked for ours.
    talk.hear('bob', { type: 'rr', ssrc: 7, reports: [] }, { type: 'xr', ssrc: 7, voip: [voip] });
    // One in ten of hers is lost from now on.
    talk.talker('alice').sequence += 60;
    talk.said.length = 0;
    talk.talk(8_000);
    expect(talk.to('bob').some((said) => kinds(said).includes('xr'))).toBe(false);
    const xr = talk
      .to('alice')
      .flatMap(({ packets }) => packets)
      .find((packet) => packet.type === 'xr');
    if (xr?.type !== 'xr') throw new Error('no VoIP metrics');
    const [made] = xr.voip;
    const expected = 400 + 60 + (talk.to('alice')[0]!.atMs - 8_000) / 20;
    expect(made).toMatchObject({
      ssrc: 7,
      lossRate: Math.round((256 * 60) / expected),
      burstDensity: 255,
      burstMs: 1200,
      gapDensity: 0,
      gmin: 16,
      rxConfig: 0xf0,
    });
    expect(made!.mosCq).toBeGreaterThan(1);
    expect(made!.jitterNominalMs).toBe(talk.path.stream('alice').ear!.waitMs);
  });
});

describe('of what is passed on', () => {
  const sr = (ssrc: number) =>
    ({
      type: 'sr',
      ssrc,
      ntpSec: 0xe0000000,
      ntpFraction: 0,
      rtpTimestamp: 0,
      packetCount: 1,
      octetCount: 1,
      reports: [],
    }) as const;

  test('the other side’s reports do; where it makes none, ours come after two and a half intervals', () => {
    const talk = newTalk();
    talk.join(PCMA, PCMA);
    for (let i = 0; i < 6; i++) {
      talk.talk(5_000);
      talk.hear('bob', {
        ...sr(7),
        reports: [
          {
            ssrc: talk.path.stream('bob').ssrc,
            fractionLost: 0,
            cumulativeLost: 0,
            highestSequence: 100,
            jitter: 0,
            lastSr: 0,
            delaySinceLastSr: 0,
          },
        ],
      });
    }
    // Alice hears bob's own, with what he says of her.
    expect(talk.to('alice')).toHaveLength(6);
    for (const { packets } of talk.to('alice')) expect(packets[0]).toMatchObject({ ntpSec: 0xe0000000 });
    // Nobody tells bob anything but we.
    const [first] = talk.to('bob');
    expect(first!.atMs).toBeGreaterThanOrEqual(12_500);
    expect(kinds(first!)).toEqual(['sr', 'sdes']);
    expect(first!.packets[0]).toMatchObject({ reports: [{ ssrc: 7, cumulativeLost: 0 }] });
  });

  test('VoIP metrics are ours in any case, for who asked', () => {
    const talk = newTalk();
    talk.join(PCMA, PCMA, { voipMetrics: true });
    for (let i = 0; i < 3; i++) {
      talk.talk(5_000);
      talk.hear('bob', sr(7));
    }
    const own = talk.to('alice').filter((said) => kinds(said).includes('xr'));
    expect(own.length).toBeGreaterThan(1);
    // Beside the other side's reports, without a block of our own.
    expect(kinds(own[0]!)).toEqual(['rr', 'sdes', 'xr']);
    expect(own[0]!.packets[0]).toMatchObject({ reports: [] });
    expect(own[0]!.packets[2]).toMatchObject({ voip: [{ ssrc: 7 }] });
    expect(talk.to('bob').some((said) => kinds(said).includes('xr'))).toBe(false);
  });

  test('a peer that is only listened to gets receiver reports, one that says and hears nothing gets none', () => {
    const talk = newTalk();
    talk.join(PCMA, PCMA);
    talk.talker('bob').hz = 0;
    talk.talk(30_000);
    expect(talk.to('alice').map(kinds)).toContainEqual(['rr', 'sdes']);
    expect(talk.to('alice').every((said) => kinds(said)[0] === 'rr')).toBe(true);
    talk.talker('alice').hz = 0;
    // What came since the last report is told yet.
    talk.talk(20_000);
    talk.said.length = 0;
    talk.talk(30_000);
    expect(talk.said).toEqual([]);
  });
});
