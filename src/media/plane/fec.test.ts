import { describe, expect, test } from 'vitest';
import { rtpPacket } from '../../../test/support/packet-path.ts';
import { hears, PlanePath } from '../../../test/support/plane-path.ts';
import { hasSpeech, speech } from '../../../test/support/speech.ts';
import { availableCodecs } from '../../audio/index.ts';
import { type Random, randomBelow, type StreamId, seededRandom } from '../../base/index.ts';
import { writeRtcp } from '../../rtp/index.ts';
import type { StreamCodec } from '../protocol.ts';
import { reportOn } from '../report.ts';
import { Reporter } from '../reporting.ts';

const ready = hasSpeech && availableCodecs().includes('opus');
const said = ready ? await speech(8000) : new Int16Array(1);
const PCMU: StreamCodec = { payloadType: 0, name: 'pcmu', clockRateHz: 8000, channels: 1 };
const opus = (wants: string): StreamCodec => ({
  payloadType: 96,
  name: 'opus',
  clockRateHz: 48_000,
  channels: 2,
  fmtp: 'useinbandfec=1',
  wants,
});

interface UnderWay {
  readonly atMs: number;
  readonly packet: Buffer;
  readonly ofRtcp: boolean;
}

/** One way of a network: loses at random, holds up each packet by up to so much, in any order. */
class Way {
  readonly #chance: Random;
  readonly #loss: number;
  readonly #jitterMs: number;
  #row: UnderWay[] = [];
  /** Octets with IPv4 and UDP, and packets of RTP. */
  octets = 0;
  packets = 0;

  constructor(seed: number, loss: number, jitterMs: number) {
    this.#chance = seededRandom(seed);
    this.#loss = loss;
    this.#jitterMs = jitterMs;
  }

  enter(packet: Buffer, ofRtcp: boolean, nowMs: number): void {
    if (!ofRtcp) {
      this.packets++;
      this.octets += packet.length + 28;
    }
    const atMs = nowMs + 20 + randomBelow(this.#chance, 1000 * this.#jitterMs + 1) / 1000;
    if (randomBelow(this.#chance, 1000) >= 1000 * this.#loss) this.#row.push({ packet, ofRtcp, atMs });
  }

  leave(nowMs: number): UnderWay[] {
    const due = this.#row.filter(({ atMs }) => atMs <= nowMs).sort((a, b) => a.atMs - b.atMs);
    this.#row = this.#row.filter(({ atMs }) => atMs > nowMs);
    return due;
  }
}

/**
 * Bob, who has G.711 alone, talks to alice, who has Opus, behind a bad network. At its other end another process of ours is her phone: it
 * decodes, and reports as ours does.
 */
function call(codec: StreamCodec, seconds: number, loss: number, jitterMs: number, packetMs = 20) {
  const us = new PlanePath();
  const phone = new PlanePath();
  us.put('alice', codec, { source: 'bob' as StreamId, packetMs });
  us.put('bob', PCMU, { source: 'alice' as StreamId });
  us.talker('bob').wave = (n) => said[n % said.length]!;
  phone.put('line', codec, { source: 'mouth' as StreamId });
  phone.put('mouth', PCMU, { source: 'line' as StreamId });
  phone.put('ear', PCMU, hears('line'));
  const reporters = [us, phone].map(
    ({ clock, path }, i) => new Reporter({ clock, random: seededRandom(i + 1), port: path.port }),
  );
  const [down, up] = [new Way(11, loss, jitterMs), new Way(12, loss, jitterMs)];
  const { from: hers } = us.talker('alice');
  const { from: ours } = phone.talker('line');
  const alices = us.talker('alice').packets;
  for (let frame = 0; frame < seconds * 50; frame++) {
    us.run(1);
    phone.run(1);
    const nowMs = us.clock.nowMs();
    for (const { packet } of alices.splice(0)) down.enter(packet, false, nowMs);
    phone.talker('line').packets.length = 0;
    if (frame % 12 === 0)
      for (const [i, { path }] of [us, phone].entries())
        for (const stream of path.graph) {
          path.left();
          reporters[i]!.attend(stream);
          for (const { by, packet } of path.left()) {
            if (by === 'alice') down.enter(packet, true, nowMs);
            if (by === 'line') up.enter(packet, true, nowMs);
          }
        }
    for (const { packet } of down.leave(nowMs)) phone.path.turn('line', packet, ours);
    for (const { packet } of up.leave(nowMs)) us.path.turn('alice', packet, hers);
    for (const { path } of [us, phone]) path.left();
  }
  const [aliceStream, lineStream] = [us.path.stream('alice'), phone.path.stream('line')];
  const result = {
    alice: reportOn(aliceStream),
    line: reportOn(lineStream),
    playOut: lineStream.quality.playOut,
    expected: aliceStream.quality.peer.lostNow,
    bitsPerSecond: (8 * down.octets) / seconds,
    packets: down.packets,
  };
  us.end();
  phone.end();
  return result;
}

test.skipIf(!ready)(
  'FEC saves frames: most of what is lost alone is rebuilt, and nothing where the peer did not ask',
  () => {
    const withFec = call(opus('useinbandfec=1'), 40, 0.05, 0);
    const without = call(opus('minptime=10'), 40, 0.05, 0);
    expect(withFec.playOut.rebuilt).toBeGreaterThan(50);
    expect(withFec.playOut.rebuilt / withFec.playOut.concealments).toBeGreaterThan(0.7);
    expect(without.playOut.rebuilt).toBe(0);
    expect(without.playOut.concealments).toBeGreaterThan(50);
    expect(withFec.line.received!.mos).toBeGreaterThan(without.line.received!.mos + 0.3);
    // Both know what the peer loses.
    for (const { expected } of [withFec, without]) {
      expect(expected).toBeGreaterThan(0.02);
      expect(expected).toBeLessThan(0.12);
    }
  },
);

test.skipIf(!ready)(
  '5 % of random loss and 60 ms of jitter leave a transcoded Opus call good, by RTCP and by the receiver alike (PH-QOS-06)',
  () => {
    const { alice, line } = call(opus('useinbandfec=1'), 60, 0.05, 60);
    expect(line.received!.mos).toBeGreaterThanOrEqual(3.5);
    expect(alice.heard!.mos).toBeGreaterThanOrEqual(3.5);
    expect(alice.heard!.reports).toBeGreaterThan(5);
    expect(Math.abs(alice.heard!.mos - line.received!.mos)).toBeLessThanOrEqual(0.2);
  },
);

/** What alice is sent, while her phone reports so much of it as lost. */
function encodedUnder(wants: string, fractionLost: number): Buffer[] {
  const us = new PlanePath();
  us.put('alice', opus(wants), { source: 'bob' as StreamId });
  us.put('bob', PCMU, { source: 'alice' as StreamId });
  us.talker('bob').wave = (n) => said[n % said.length]!;
  const { packets, from } = us.talker('alice');
  us.path.turn('alice', rtpPacket({ type: 96, ssrc: 7, payload: Buffer.from([0x48, 0]) }), from);
  for (let second = 0; second < 8; second++) {
    us.run(50);
    const bytes = Buffer.alloc(200);
    const reports = [
      {
        ssrc: us.path.stream('alice').ssrc,
        fractionLost,
        cumulativeLost: 0,
        highestSequence: 100 + 50 * second,
        jitter: 0,
        lastSr: 0,
        delaySinceLastSr: 0,
      },
    ];
    const length = writeRtcp(bytes, [{ type: 'rr', ssrc: 7, reports }]);
    us.path.turn('alice', bytes.subarray(0, length), from);
  }
  us.end();
  return packets.filter(({ fromRtcp }) => !fromRtcp).map(({ packet }) => packet.subarray(12));
}

test.skipIf(!ready)(
  'what the peer reports as lost is what the encoder prepares for, if the peer can use it',
  () => {
    const asked = [encodedUnder('useinbandfec=1', 0), encodedUnder('useinbandfec=1', 50)];
    // The same until the first report.
    for (let i = 0; i < 45; i++) expect(asked[1]![i]!.equals(asked[0]![i]!)).toBe(true);
    const differ = asked[1]!.filter(
      (packet, i) => asked[0]![i] !== undefined && !packet.equals(asked[0]![i]!),
    );
    expect(differ.length).toBeGreaterThan(100);
    const octets = asked.map((packets) => packets.reduce((sum, { length }) => sum + length, 0));
    expect(octets[1]! / octets[0]!).toBeLessThan(1.15);
  },
);

describe('what speech takes on the wire, with all headers (PH-QOS-05)', () => {
  test.skipIf(!ready).each([10, 20, 40, 60])('Opus in packets of %i ms', (packetMs) => {
    const { bitsPerSecond, packets } = call(opus('useinbandfec=1'), 20, 0, 0, packetMs);
    expect(Math.abs(packets - 20_000 / packetMs)).toBeLessThan(5);
    // Plain over IPv4, as counted; AES-GCM over IPv6 adds 36 octets to each packet.
    expect(bitsPerSecond).toBeGreaterThan(60_000);
    expect(bitsPerSecond + (8 * 36 * packets) / 20).toBeLessThan(100_000);
  });
});
