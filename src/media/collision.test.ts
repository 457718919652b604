import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { headerOf, PacketPath, rtpPacket, type Sent } from '../../test/support/packet-path.ts';
import { spec } from '../../test/support/stream-spec.ts';
import type { StreamId } from '../base/index.ts';
import {
  createSrtpReceiver,
  createSrtpSender,
  isRtcp,
  keySaltLength,
  parseRtcp,
  type RtcpPacket,
  writeRtcp,
} from '../rtp/index.ts';
import type { SrtpKey } from './protocol.ts';
import { applyState, stateOf } from './record.ts';
import { newCounts } from './stream.ts';
import { prepare } from './take-over.ts';

const PLACES = { alice: '127.0.0.1:5000', bob: '127.0.0.1:6000', carol: '127.0.0.1:7000' };
type Name = keyof typeof PLACES;

const newKey = (): SrtpKey => ({
  suite: 'AEAD_AES_256_GCM',
  keySalt: randomBytes(keySaltLength('AEAD_AES_256_GCM')).toString('base64'),
});

function call(): PacketPath {
  const path = new PacketPath();
  path.put(spec('alice', { port: 5000, rtcpMux: true, source: 'bob' }));
  path.put(spec('bob', { port: 6000, rtcpMux: true, source: 'alice' }));
  return path;
}

/** What `who` says, and what leaves because of it. */
const say = (path: PacketPath, who: Name, sequence: number, ssrc: number): Sent[] =>
  path.turn(who, rtpPacket({ sequence, ssrc, payload: `${who} ${sequence}` }), PLACES[who]);

const audioTo = (sent: readonly Sent[], whom: string) =>
  sent.filter(({ by, packet }) => by === whom && !isRtcp(packet, packet.length)).map(({ packet }) => packet);

const reportsTo = (sent: readonly Sent[], whom: string): readonly RtcpPacket[] =>
  sent
    .filter(({ by, packet }) => by === whom && isRtcp(packet, packet.length))
    .flatMap(({ packet }) => {
      const parsed = parseRtcp(packet, packet.length);
      if (!parsed.ok) throw new Error('RTCP that cannot be read');
      return parsed.value;
    });

describe('two legs of a call whose peers chose the same SSRC', () => {
  test('are two sessions: each is spoken to under our own two, and nobody takes another', () => {
    const path = call();
    const ours = ['alice', 'bob'].map((id) => path.stream(id).ssrc);
    expect(new Set([...ours, 7]).size).toBe(3);
    for (let sequence = 1; sequence < 4; sequence++) {
      const toBob = audioTo(say(path, 'alice', sequence, 7), 'bob');
      const toAlice = audioTo(say(path, 'bob', sequence + 500, 7), 'alice');
      expect(toBob.map(headerOf)).toMatchObject([{ sequence, ssrc: ours[1] }]);
      expect(toAlice.map(headerOf)).toMatchObject([{ sequence: sequence + 500, ssrc: ours[0] }]);
    }
  });

  test("a report is about the other's packets, not about one's own of that name", () => {
    const path = call();
    say(path, 'alice', 10, 7);
    say(path, 'bob', 500, 7);
    const report = Buffer.alloc(512);
    const block = { fractionLost: 3, cumulativeLost: 5, jitter: 9, lastSr: 1, delaySinceLastSr: 2 };
    const length = writeRtcp(report, [
      { type: 'rr', ssrc: 7, reports: [{ ...block, ssrc: path.stream('bob').ssrc, highestSequence: 10 }] },
    ]);
    const sent = path.turn('bob', report.subarray(0, length), PLACES.bob);
    expect(reportsTo(sent, 'alice')).toEqual([
      { type: 'rr', ssrc: path.stream('alice').ssrc, reports: [{ ...block, ssrc: 7, highestSequence: 10 }] },
    ]);
  });

  test('one follows the other as the source of a third, and the third hears one row of numbers', () => {
    const path = call();
    path.put(spec('carol', { port: 7000, rtcpMux: true }));
    const before = audioTo(say(path, 'alice', 1000, 7), 'bob').map(headerOf);
    path.put(spec('bob', { port: 6000, rtcpMux: true, source: 'carol' }));
    const after = audioTo(say(path, 'carol', 3, 7), 'bob').map(headerOf);
    expect(after).toMatchObject([{ sequence: 1001, ssrc: before[0]!.ssrc }]);
    // Who is no source any more does not come between.
    expect(audioTo(say(path, 'alice', 1001, 7), 'bob')).toEqual([]);
  });
});

test('a peer that changes its SSRC in mid-call, after a wrap, is heard on in one row of numbers; its old packets are not', () => {
  const path = call();
  const key = newKey();
  path.put(spec('alice', { port: 5000, rtcpMux: true, source: 'bob', receiveKey: key }));
  const phone = createSrtpSender(key);
  const packetOf = (index: number, ssrc: number): Buffer => {
    const slot = Buffer.alloc(256);
    rtpPacket({ sequence: index & 0xffff, timestamp: (index * 160) >>> 0, ssrc }).copy(slot);
    return slot.subarray(0, phone.protectRtpAt(slot, 17, index));
  };
  const heard: number[] = [];
  const ours = path.stream('bob').ssrc;
  const hear = (packet: Buffer) => {
    path.nowMs += 20;
    for (const out of audioTo(path.turn('alice', Buffer.from(packet), PLACES.alice), 'bob')) {
      expect(headerOf(out).ssrc).toBe(ours);
      heard.push(headerOf(out).sequence);
    }
  };
  const before = Array.from({ length: 100 }, (_, at) => packetOf(65_500 + at, 7));
  before.forEach(hear);
  for (let index = 20; index < 40; index++) hear(packetOf(index, 70));
  before.forEach(hear);
  for (let index = 40; index < 60; index++) hear(packetOf(index, 70));
  expect(heard).toEqual(Array.from({ length: 140 }, (_, at) => (65_500 + at) & 0xffff));
  expect(path.stream('alice').counts.refusedReplay).toBe(100);
});

describe('a peer that chose the SSRC under which we speak to it', () => {
  test('gets BYE for that one, and hears on under another, which the twin knows first', () => {
    const path = call();
    say(path, 'bob', 1, 8);
    const old = path.stream('alice').ssrc;
    const sent = say(path, 'alice', 1, old);
    expect(audioTo(sent, 'bob')).toHaveLength(1);
    expect(reportsTo(sent, 'alice')).toMatchObject([
      { type: 'rr', ssrc: old },
      { type: 'sdes', chunks: [{ ssrc: old }] },
      { type: 'bye', ssrcs: [old] },
    ]);
    path.nowMs += 20;
    const told: number[] = [];
    path.onTold = ({ id, feed }) => id === 'alice' && told.push(feed.ssrc);
    path.told.length = 0;
    const [next] = audioTo(say(path, 'bob', 2, 8), 'alice').map(headerOf);
    expect(next).toMatchObject({ sequence: 2, timestamp: 320 });
    expect(next!.ssrc).not.toBe(old);
    expect(path.told).toContain('commit alice');
    expect(told).toEqual([next!.ssrc]);
    // It says nothing of it any more, however long the peer keeps that name.
    expect(reportsTo(say(path, 'alice', 2, old), 'alice')).toEqual([]);
  });

  test('is heard at once when it changes its own, as the RFC has it do too', () => {
    const path = call();
    say(path, 'alice', 1, path.stream('alice').ssrc);
    path.nowMs += 1000;
    expect(audioTo(say(path, 'alice', 900, 70), 'bob').map(headerOf)).toMatchObject([{ sequence: 2 }]);
  });

  test('under one key no index of an SSRC is used twice, through deaths, and it opens all at rollover counter 0', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 65_480, max: 65_540 }),
        fc.array(fc.constantFrom('speak', 'collide', 'die'), { maxLength: 30 }),
        (first, history) => {
          const { path, hear, collide, die } = secured();
          let index = first;
          for (const step of ['speak', ...history, 'speak', 'speak']) {
            // Sequence numbers wrap on the way.
            if (step === 'speak') for (let end = index + 20; index < end; index++) hear(index);
            else if (step === 'collide') collide();
            else die();
          }
          expect(path().stream('alice').feed.collided).toBe(history.includes('collide'));
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe('a peer that gives back what it is sent', () => {
  test('meets another SSRC once, and hears itself', () => {
    const path = call();
    const ssrcs = new Set<number>();
    const heard: string[] = [];
    for (let sequence = 1; sequence <= 200; sequence++) {
      path.nowMs += 20;
      for (const packet of audioTo(say(path, 'alice', sequence, 7), 'bob')) {
        ssrcs.add(headerOf(packet).ssrc);
        for (const back of audioTo(path.turn('bob', packet, PLACES.bob), 'alice'))
          heard.push(back.toString('latin1', 12));
      }
    }
    expect(ssrcs.size).toBe(2);
    expect(heard.at(-1)).toBe('alice 200');
    // But for the second in which nobody's change of SSRC is followed.
    expect(heard.length).toBeGreaterThan(140);
  });

  test('does not keep packets going round with another that does the same', () => {
    const path = call();
    const other = { alice: 'bob', bob: 'alice' } as const;
    const prompt = { id: 'prompt' as StreamId, ssrc: 1, counts: newCounts() };
    let travelling: { at: 'alice' | 'bob'; packet: Buffer }[] = [];
    const pass = (): void => {
      path.nowMs += 20;
      travelling = travelling.flatMap(({ at, packet }) =>
        audioTo(path.turn(at, packet, PLACES[at]), other[at]).map((next) => ({
          at: other[at],
          packet: next,
        })),
      );
    };
    // Alice is told something for three seconds. It comes back.
    path.turn('alice', rtpPacket({}), PLACES.alice);
    path.turn('bob', rtpPacket({}), PLACES.bob);
    for (let word = 1; word <= 150; word++) {
      const packet = Buffer.concat([rtpPacket({ sequence: word }), Buffer.alloc(64)]);
      path.relay.say(prompt, path.stream('alice'), packet, 17, 0, word, word * 160, 8000, path.nowMs);
      for (const told of audioTo(path.left(), 'alice')) travelling.push({ at: 'alice', packet: told });
      pass();
    }
    for (let turn = 0; turn < 10; turn++) pass();
    expect(travelling).toEqual([]);
  });
});

/** Bob speaks to Alice under GCM keys; what she gets she opens, and no index may come twice. */
function secured() {
  const [toAlice, fromAlice] = [newKey(), newKey()];
  const specs = [
    spec('alice', { port: 5000, rtcpMux: true, source: 'bob', sendKey: toAlice, receiveKey: fromAlice }),
    spec('bob', { port: 6000, rtcpMux: true, source: 'alice' }),
  ];
  const serve = (): PacketPath => {
    const path = new PacketPath();
    for (const each of specs) path.put(each);
    return path;
  };
  let path = serve();
  let told = new Map<string, ReturnType<typeof stateOf>>();
  const tell = () => {
    path.onTold = (stream) => told.set(stream.id, structuredClone(stateOf(stream)));
    for (const { id } of specs) path.onTold(path.stream(id));
  };
  tell();
  const alice = createSrtpSender(fromAlice);
  const ear = createSrtpReceiver(toAlice);
  const used = new Set<string>();
  const slot = Buffer.alloc(256);
  let aliceIndex = 1;
  return {
    path: () => path,
    hear(index: number) {
      const packet = rtpPacket({ sequence: index & 0xffff, timestamp: (index * 160) >>> 0, ssrc: 8 });
      for (const sent of audioTo(path.turn('bob', packet, PLACES.bob), 'alice')) {
        const { ssrc } = headerOf(sent);
        if (ear.unprotectRtp(Buffer.from(sent), sent.length) < 0) throw new Error('alice cannot open it');
        const name = `${ssrc} ${ear.lastIndex}`;
        expect(used).not.toContain(name);
        used.add(name);
      }
    },
    collide() {
      path.nowMs += 1000;
      rtpPacket({ sequence: aliceIndex, ssrc: path.stream('alice').ssrc }).copy(slot);
      const length = alice.protectRtpAt(slot, 17, aliceIndex++);
      path.turn('alice', slot.subarray(0, length), PLACES.alice);
    },
    die() {
      const { nowMs } = path;
      const known = told;
      told = new Map();
      path = serve();
      path.nowMs = nowMs;
      for (const { id } of specs) {
        applyState(path.stream(id), known.get(id)!);
        prepare(path.stream(id), nowMs);
      }
      tell();
    },
  };
}
