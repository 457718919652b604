import { describe, expect, test } from 'vitest';
import { PacketPath, rtpPacket } from '../../test/support/packet-path.ts';
import { spec } from '../../test/support/stream-spec.ts';
import { type ReportBlock, type RtcpPacket, type VoipMetrics, writeRtcp } from '../rtp/index.ts';
import { exactOf, goOnExactly } from './exact.ts';
import { applyProgress, applyState, progressOf, stateOf } from './record.ts';
import { reportOn } from './report.ts';

const ALICE = '127.0.0.1:5000';
const BOB = '127.0.0.1:6000';
const PCMU = Buffer.alloc(160, 0xd5);

class Talk extends PacketPath {
  constructor() {
    super();
    this.put(spec('alice', { port: 5000, source: 'bob', rtcpMux: true }));
    this.put(spec('bob', { port: 6000, source: 'alice', rtcpMux: true }));
  }

  /** Packets of 20 ms; those that `isLost` do not come. */
  say(
    id: 'alice' | 'bob',
    from: number,
    to: number,
    isLost: (sequence: number) => boolean = () => false,
  ): void {
    for (let sequence = from; sequence < to; sequence++) {
      const packet = rtpPacket({ sequence: sequence & 0xffff, ssrc: id === 'alice' ? 7 : 8, payload: PCMU });
      if (!isLost(sequence)) this.turn(id, packet, id === 'alice' ? ALICE : BOB);
      this.wait(20);
    }
  }

  rtcp(id: 'alice' | 'bob', packets: Exclude<RtcpPacket, { type: 'other' }>[]): void {
    const bytes = Buffer.alloc(1024);
    const length = writeRtcp(bytes, packets);
    this.turn(id, bytes.subarray(0, length), id === 'alice' ? ALICE : BOB);
  }

  report(id: 'alice' | 'bob') {
    return reportOn(this.stream(id));
  }
}

const block = (ssrc: number, more: Partial<ReportBlock>): ReportBlock => ({
  ssrc,
  fractionLost: 0,
  cumulativeLost: 0,
  highestSequence: 0,
  jitter: 0,
  lastSr: 0,
  delaySinceLastSr: 0,
  ...more,
});

describe('what came from a peer', () => {
  test('loss on average and in the worst five seconds, bit rate with all headers, jitter, MOS', () => {
    const talk = new Talk();
    // One in 20 is lost for five seconds, then none for five more.
    talk.say('alice', 1000, 1500, (sequence) => sequence < 1250 && sequence % 20 === 10);
    const { received, ...report } = talk.report('alice');
    expect(report.packetsLost).toBe(12);
    expect(received).toMatchObject({
      // The interval begins with the first packet.
      lost: { average: 0.024, worst: 0.0478 },
      jitterMs: { average: 0, worst: 0 },
      longestGapMs: 40,
    });
    // PH-QOS-05: 64 kbit/s of PCMU and 40 octets with each of 50 packets a second, less what was lost.
    expect(received!.bitsPerSecond / (80_000 * (1 - 0.024))).toBeCloseTo(1, 2);
    expect(received!.mos).toBeGreaterThan(4);
    expect(received!.mos).toBeLessThan(4.3);
  });

  test('a pause does not make the bit rate smaller', () => {
    const talk = new Talk();
    talk.say('alice', 0, 250);
    talk.wait(60_000);
    talk.say('alice', 250, 500);
    expect(talk.report('alice').received!.bitsPerSecond / 80_000).toBeCloseTo(1, 2);
    expect(talk.report('alice').received!.longestGapMs).toBe(60_020);
  });

  test('another SSRC goes on with the same figures', () => {
    const talk = new Talk();
    talk.say('alice', 100, 200, (sequence) => sequence === 150);
    talk.wait(2000);
    for (const sequence of [5, 6, 8]) {
      talk.turn('alice', rtpPacket({ sequence, ssrc: 77, payload: PCMU }), ALICE);
      talk.wait(20);
    }
    expect(talk.report('alice').packetsLost).toBe(2);
    expect(talk.report('alice').received!.lost.average).toBeCloseTo(2 / 104, 4);
  });
});

describe('what a peer reports', () => {
  test('the round trip is each leg’s own, though the sender report came from the other side', () => {
    const talk = new Talk();
    talk.say('bob', 20, 25);
    talk.say('alice', 10, 15);
    // RFC 3550 figure 2: SR at 0xb44d_b705.2, LSR 0xb705:2000, DLSR 5.25 s; it arrives 6.125 s + 5.25 s - 5.25 s later.
    talk.rtcp('bob', [
      {
        type: 'sr',
        ssrc: 8,
        ntpSec: 0xb44db705,
        ntpFraction: 0x20000000,
        rtpTimestamp: 4000,
        packetCount: 5,
        octetCount: 800,
        reports: [],
      },
    ]);
    talk.wait(11_375);
    const alice = talk.stream('alice').ssrc;
    const answer = block(alice, { lastSr: 0xb7052000, delaySinceLastSr: 0x00054000, highestSequence: 24 });
    talk.rtcp('alice', [{ type: 'rr', ssrc: 7, reports: [answer] }]);
    expect(talk.report('alice').roundTripMs).toEqual({ average: 6125, worst: 6125 });
    expect(talk.report('bob').roundTripMs).toBeUndefined();
    // What it quotes was never sent to it.
    talk.rtcp('alice', [{ type: 'rr', ssrc: 7, reports: [{ ...answer, lastSr: 0x12345678 }] }]);
    expect(talk.report('alice').roundTripMs).toEqual({ average: 6125, worst: 6125 });
  });

  test('loss over all reports and in the worst one, over a wrap; one that counts anew is no loss of thousands', () => {
    const talk = new Talk();
    talk.say('bob', 65_400, 65_500);
    const { ssrc } = talk.stream('alice');
    const say = (more: Partial<ReportBlock>) =>
      talk.rtcp('alice', [{ type: 'rr', ssrc: 7, reports: [block(ssrc, more)] }]);
    say({ highestSequence: 65_499, cumulativeLost: 10, fractionLost: 25, jitter: 80 });
    say({ highestSequence: 65_599, cumulativeLost: 60, fractionLost: 128, jitter: 240 });
    // A packet came late after all.
    say({ highestSequence: 65_699, cumulativeLost: 59, fractionLost: 0, jitter: 160 });
    const heard = { lost: { average: 0.1967, worst: 0.5 }, jitterMs: { average: 20, worst: 30 } };
    expect(talk.report('alice').heard).toMatchObject({ reports: 3, ...heard });
    say({ highestSequence: 300, cumulativeLost: 4000, fractionLost: 0, jitter: 160 });
    expect(talk.report('alice').heard).toMatchObject({ reports: 4, ...heard });
    expect(talk.report('alice').heard!.mos).toBeLessThan(3.5);
    // Blocks about others are not about us.
    talk.rtcp('alice', [{ type: 'rr', ssrc: 7, reports: [block(99, { cumulativeLost: 7 })] }]);
    expect(talk.report('alice').heard!.reports).toBe(4);
  });

  test('its VoIP metrics are kept, and what its jitter buffer threw away counts', () => {
    const talk = new Talk();
    talk.say('bob', 0, 100);
    const { ssrc } = talk.stream('alice');
    talk.rtcp('alice', [{ type: 'rr', ssrc: 7, reports: [block(ssrc, { highestSequence: 99 })] }]);
    const before = talk.report('alice').heard!.mos;
    const voip: VoipMetrics = {
      ssrc,
      lossRate: 0,
      discardRate: 64,
      burstDensity: 0,
      gapDensity: 0,
      burstMs: 0,
      gapMs: 0,
      roundTripMs: 40,
      endSystemDelayMs: 60,
      gmin: 16,
      rFactor: 80,
      mosCq: 3.9,
      rxConfig: 0,
      jitterNominalMs: 50,
      jitterMaximumMs: 80,
      jitterAbsoluteMs: 200,
    };
    talk.rtcp('alice', [
      { type: 'rr', ssrc: 7, reports: [] },
      { type: 'xr', ssrc: 7, voip: [voip, { ...voip, ssrc: 99, rFactor: 1 }] },
    ]);
    const { heard } = talk.report('alice');
    expect(heard!.voip).toEqual({ rFactor: 80, mosCq: 3.9, discarded: 0.25, jitterBufferMs: 50 });
    expect(heard!.mos).toBeLessThan(before - 1);
  });

  test('who reports nothing heard what reached us of the other side', () => {
    const talk = new Talk();
    talk.say('bob', 0, 500, (sequence) => sequence % 10 === 5);
    const [alice, bob] = [talk.report('alice'), talk.report('bob')];
    expect(alice.heard).toEqual({ reports: 0, mos: bob.received!.mos });
    expect(bob.heard).toBeUndefined();
    expect(alice.received).toBeUndefined();
  });
});

describe('another process', () => {
  /** Alice's stream after a while, and the same at a stand-by that knows nothing. */
  function twins() {
    const [talk, twin] = [new Talk(), new Talk()];
    talk.say('alice', 0, 300, (sequence) => sequence % 30 === 7);
    talk.say('bob', 0, 100);
    const { ssrc } = talk.stream('alice');
    talk.rtcp('alice', [
      {
        type: 'rr',
        ssrc: 7,
        reports: [block(ssrc, { highestSequence: 99, cumulativeLost: 3, fractionLost: 8 })],
      },
    ]);
    return { talk, twin, stream: talk.stream('alice'), copy: twin.stream('alice') };
  }

  test('that took a stream over goes on with all that was counted', () => {
    const { talk, stream, copy } = twins();
    applyState(copy, structuredClone(stateOf(stream)));
    expect(reportOn(copy)).toEqual({ ...talk.report('alice') });
    talk.say('alice', 300, 400, () => true);
    talk.say('alice', 400, 402);
    const progress = structuredClone(progressOf(stream));
    applyProgress(copy, progress);
    expect(reportOn(copy)).toEqual(talk.report('alice'));
    expect(talk.report('alice').packetsLost).toBe(110);
  });

  test('that was handed it goes on in the middle of a numbering', () => {
    const { talk, twin, stream, copy } = twins();
    applyState(copy, structuredClone(stateOf(stream)));
    goOnExactly(copy, structuredClone(exactOf(stream)), twin.nowMs);
    expect(reportOn(copy)).toEqual({ ...talk.report('alice'), takenOver: 1 });
  });

  test('of an older release that tells loss and jitter alone', () => {
    const { stream, copy } = twins();
    const { quality: _, ...state } = structuredClone(stateOf(stream));
    applyState(copy, state);
    expect(reportOn(copy)).toMatchObject({ packetsLost: 10, packetsReceived: 290 });
    expect(reportOn(copy).received).toBeUndefined();
  });
});
