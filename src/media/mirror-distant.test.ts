import { afterEach, beforeEach, expect, test } from 'vitest';
import { PacketPath } from '../../test/support/packet-path.ts';
import { spec } from '../../test/support/stream-spec.ts';
import { type MediaId, type StreamId, silentLogger, VirtualClock } from '../base/index.ts';
import { type Channel, memoryLink, type Peer } from '../link/index.ts';
import { openUdpLoop, type UdpLoop } from '../native/index.ts';
import { progressHere } from './mirror-clock.ts';
import { encode, type OwnerSays } from './mirror-messages.ts';
import { MirrorStandBy } from './mirror-stand-by.ts';
import { wireOf } from './mirror-wire.ts';
import { applyProgress, progressOf, recordOf } from './record.ts';
import type { Stream } from './stream.ts';

const A = 'a' as MediaId;
const KEY = { suite: 'AES_CM_128_HMAC_SHA1_80', keySalt: Buffer.alloc(30, 7).toString('base64') } as const;

let loop: UdpLoop;
let clock: VirtualClock;
let standBy: MirrorStandBy;
let taken: Stream[];

beforeEach(() => {
  loop = openUdpLoop();
  clock = new VirtualClock();
  taken = [];
  standBy = new MirrorStandBy({
    clock,
    log: silentLogger,
    loop,
    successor: {
      takeOver: (_, streams) => taken.push(...streams),
      receive: async () => {},
      takesMore: () => true,
      standsBy: () => {},
      learn: () => {},
    },
    openEarly: () => {
      const open = () => loop.open({ address: '127.0.0.1', port: 0 });
      return { rtp: open(), rtcp: open() };
    },
  });
});
afterEach(() => {
  standBy.stop();
  loop.close();
});

/** An owner on another machine that has said its streams: a plain one and a keyed one. */
function owner(): { say(message: OwnerSays): void; channel: Channel } {
  const peer = (id: string): Peer => ({ role: 'media', id, pid: 1, startTime: 1 });
  const { left, right } = memoryLink({ clock, left: peer('a'), right: peer('b') });
  standBy.serveDistant(wireOf(right, clock));
  const path = new PacketPath();
  const plain = path.put(spec('plain', { port: 5000 }));
  const keyed = path.put({ ...spec('keyed', { port: 5002 }), sendKey: KEY, receiveKey: KEY });
  const say = (message: OwnerSays): void => {
    left.send({ kind: 'mirror', data: null, body: encode(message) });
    clock.advance(1);
  };
  say({ kind: 'hello', version: 1, id: A, pid: 1, startTime: 1 });
  for (const stream of [plain, keyed]) say({ kind: 'put', record: recordOf(stream), ack: 0 });
  return { say, channel: left };
}

const idsOf = (streams: readonly Stream[]): StreamId[] => streams.map(({ id }) => id);

test('an owner out of sight is not dead: its streams wait until somebody says so', () => {
  const { channel } = owner();
  channel.close('cut');
  clock.advance(10_000);
  expect(taken).toEqual([]);
  expect([standBy.streams, standBy.standsBy('plain' as StreamId)]).toEqual([2, true]);
});

test('said to be silent, its streams go on here, keyed ones behind all that may not have been said', () => {
  const { channel } = owner();
  channel.close('dead');
  clock.advance(2_000);
  standBy.takeDistant([A], clock.nowMs() - 500);
  expect(idsOf(taken)).toEqual(['plain', 'keyed']);
  expect(taken[1]!.rtcpReserved).toBe(100);
  expect(standBy.streams).toBe(0);
});

test('one that spoke on for long unheard has used indices that nobody knows: keyed streams need new keys (TR-MEDIA-09)', () => {
  const { channel } = owner();
  channel.close('cut');
  clock.advance(60_000);
  standBy.takeDistant([A], clock.nowMs() - 500);
  expect(idsOf(taken)).toEqual(['plain']);
});

test('an owner that is back, by a new connection before the old one is found dead, is stood by for once', () => {
  owner();
  owner();
  expect(standBy.streams).toBe(2);
  standBy.takeDistant([A], clock.nowMs());
  expect(idsOf(taken)).toEqual(['plain', 'keyed']);
});

test('the times of a machine that was started long before, or long after, are those of ours when its streams are taken over', () => {
  const AGO_MS = 1_500;
  const theirsMs = 90 * 86_400_000;
  const { say } = owner();
  say({ kind: 'hello', version: 1, id: A, pid: 1, startTime: 1, nowMs: theirsMs });
  const stream = new PacketPath().put(spec('late', { port: 5000 }));
  stream.lastHeardMs = stream.feed.sentAtMs = stream.arrival.ssrcSinceMs = theirsMs - AGO_MS;
  say({ kind: 'put', record: recordOf(stream), ack: 0 });
  const saidMs = clock.nowMs();
  standBy.takeDistant([A], saidMs);
  const late = taken.find(({ id }) => id === stream.id)!;
  for (const ms of [late.lastHeardMs, late.feed.sentAtMs, late.arrival.ssrcSinceMs]) {
    expect(saidMs - ms).toBeGreaterThanOrEqual(AGO_MS);
    expect(saidMs - ms).toBeLessThan(AGO_MS + 10);
  }
  expect(late.quality.intervalEndsMs).toBe(-1);
});

test('so are those that are said once a second', () => {
  const stream = new PacketPath().put(spec('late', { port: 5000 }));
  stream.lastHeardMs = 5_000;
  stream.feed.sentAtMs = 4_000;
  const progress = progressHere(progressOf(stream), -3_000);
  applyProgress(stream, progress);
  expect([stream.lastHeardMs, stream.feed.sentAtMs]).toEqual([2_000, 1_000]);
});
