import { expect, test } from 'vitest';
import { PacketPath, rtpPacket, type Sent } from '../../test/support/packet-path.ts';
import { spec } from '../../test/support/stream-spec.ts';
import { type Random, randomBelow, type StreamId, seededRandom, VirtualClock } from '../base/index.ts';
import { carriesFec } from './mos.ts';
import type { StreamCodec, StreamSpec } from './protocol.ts';
import { reportOn } from './report.ts';
import { Reporter } from './reporting.ts';

const OPUS: StreamCodec = {
  payloadType: 96,
  name: 'opus',
  clockRateHz: 48_000,
  channels: 2,
  fmtp: 'useinbandfec=1',
};
const HERE = '127.0.0.1:6000';
const THERE = '127.0.0.1:5000';

interface UnderWay {
  readonly atMs: number;
  readonly packet: Buffer;
}

/** One way of a network: loses at random, holds up each packet by up to so much; order is kept, as in a queue. */
class Way {
  readonly #loses: Random;
  readonly #holds: Random;
  readonly #row: UnderWay[] = [];
  readonly #lossPerMille: number;
  readonly #jitterMs: number;

  constructor(seed: number, lossPerMille: number, jitterMs: number) {
    this.#loses = seededRandom(seed);
    this.#holds = seededRandom(seed + 100);
    this.#lossPerMille = lossPerMille;
    this.#jitterMs = jitterMs;
  }

  enter(packet: Buffer, nowMs: number): void {
    const atMs = nowMs + 20 + randomBelow(this.#holds, 1000 * this.#jitterMs + 1) / 1000;
    if (randomBelow(this.#loses, 1000) < this.#lossPerMille) return;
    this.#row.push({ packet, atMs: Math.max(atMs, this.#row.at(-1)?.atMs ?? 0) });
  }

  leave(nowMs: number): Buffer[] {
    const due = this.#row.filter(({ atMs }) => atMs <= nowMs).length;
    return this.#row.splice(0, due).map(({ packet }) => packet);
  }
}

/**
 * Bob talks over our process to alice; between us and alice is a bad network, and at its other end another process of ours as the phone,
 * which receives and reports as ours do.
 */
function opusCall(codec: StreamCodec, seconds: number) {
  const [us, phone] = [new PacketPath(), new PacketPath()];
  const of = (id: string, port: number, source: string): StreamSpec => ({
    ...spec(id, { port, rtcpMux: true }),
    codecs: [codec],
    source: source as StreamId,
  });
  us.put(of('alice', 6000, 'bob'));
  us.put(of('bob', 7000, 'alice'));
  phone.put(of('line', 5000, 'voice'));
  phone.put(of('voice', 8000, 'line'));
  const clock = new VirtualClock(us.nowMs);
  const reporters = [us, phone].map(
    ({ port }, i) => new Reporter({ clock, random: seededRandom(i + 1), port }),
  );
  const [down, up] = [new Way(11, 50, 60), new Way(12, 50, 60)];
  const pass = (sent: readonly Sent[]) => {
    for (const { by, packet } of sent) {
      if (by === 'alice') down.enter(packet, clock.nowMs());
      if (by === 'line') up.enter(packet, clock.nowMs());
    }
  };
  // SILK, 20 ms, with the flags of voice and of redundancy.
  const payload = Buffer.from([0x48, carriesFec(codec) ? 0xc0 : 0x80, ...Buffer.alloc(118, 1)]);
  for (let ms = 0; ms < seconds * 1000; ms += 5) {
    if (ms % 20 === 0) {
      const sequence = (ms / 20) & 0xffff;
      const packet = (ssrc: number) =>
        rtpPacket({ type: 96, sequence, timestamp: (ms * 48) >>> 0, ssrc, payload });
      pass(us.turn('bob', packet(8), '127.0.0.1:7000'));
      pass(phone.turn('voice', packet(9), '127.0.0.1:8000'));
    }
    for (const packet of down.leave(clock.nowMs())) pass(phone.turn('line', packet, THERE));
    for (const packet of up.leave(clock.nowMs())) pass(us.turn('alice', packet, HERE));
    if (ms % 250 === 0)
      for (const [i, path] of [us, phone].entries())
        for (const stream of path.graph) {
          path.left();
          reporters[i]!.attend(stream);
          pass(path.left());
        }
    clock.advance(5);
    us.wait(5);
    phone.wait(5);
  }
  const report = (path: PacketPath, id: string) => reportOn(path.stream(id));
  return { ours: report(us, 'alice'), phones: report(phone, 'line') };
}

test('5 % of random loss and 60 ms of jitter leave Opus good, by the peer’s RTCP and by who received it alike (PH-QOS-06)', () => {
  const { ours, phones } = opusCall(OPUS, 90);
  // Both ways are as bad as that.
  for (const { received } of [ours, phones]) {
    expect(received!.lost.average).toBeGreaterThan(0.035);
    expect(received!.lost.average).toBeLessThan(0.065);
    expect(received!.jitterMs.average).toBeGreaterThan(8);
    expect(received!.mos).toBeGreaterThanOrEqual(3.5);
  }
  expect(ours.roundTripMs!.average).toBeGreaterThan(60);
  expect(ours.roundTripMs!.average).toBeLessThan(160);
  expect(ours.heard!.reports).toBeGreaterThanOrEqual(4);
  // The same packets: what the phone tells us of them, and what its own receiver made of them.
  expect(Math.abs(ours.heard!.mos - phones.received!.mos)).toBeLessThanOrEqual(0.2);
  expect(Math.abs(ours.received!.mos - phones.heard!.mos)).toBeLessThanOrEqual(0.2);
  expect(ours.heard!.lost!.average).toBeCloseTo(phones.received!.lost.average, 2);
});

test('without FEC the same network makes it poor, in both figures', () => {
  const { fmtp: _, ...bare } = OPUS;
  const { ours, phones } = opusCall(bare, 30);
  expect(ours.received!.mos).toBeLessThan(3.5);
  expect(phones.received!.mos).toBeLessThan(3.5);
  expect(Math.abs(ours.heard!.mos - phones.received!.mos)).toBeLessThanOrEqual(0.3);
});
