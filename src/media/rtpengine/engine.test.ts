import { beforeEach, describe, expect, test } from 'vitest';
import { spec } from '../../../test/support/stream-spec.ts';
import { type MediaId, silentLogger, TwinlineError, VirtualClock } from '../../base/index.ts';
import { systemRandom } from '../../native/index.ts';
import type { MediaEvent, StreamSpec } from '../protocol.ts';
import type { Bencoded } from './bencode.ts';
import { RtpengineEngine } from './engine.ts';
import type { NgReply } from './ng-client.ts';

type Command = Readonly<Record<string, Bencoded>>;

/** An rtpengine that does as it should until it is told otherwise. */
class Pretended {
  readonly asked: Command[] = [];
  readonly #ports = new Map<string, number>();
  #opened = 0;
  /** In place of the right answer. */
  answers: ((command: Command) => unknown) | undefined;

  forget(): void {
    this.#ports.clear();
  }

  async ask(command: Command): Promise<NgReply> {
    this.asked.push(command);
    const other = this.answers?.(command);
    if (other instanceof Error) throw other;
    if (other !== undefined) return other as NgReply;
    const call = String(command['call-id']);
    const name = String(command['command']);
    if (name === 'ping') return { result: 'pong' };
    if (name !== 'offer' && !this.#ports.has(`${call} offer`))
      throw new TwinlineError('ng_refused', `rtpengine refused ${name}: Unknown call-id`);
    if (name !== 'offer' && name !== 'answer') return { result: 'ok' };
    const key = `${call} ${name}`;
    const port = this.#ports.get(key) ?? 30_002 + 2 * this.#opened++;
    this.#ports.set(key, port);
    const sdp = `v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio ${port} RTP/AVP 0\r\n`;
    return { result: 'ok', sdp };
  }
}

let rtpengine: Pretended;
let engine: RtpengineEngine;
let clock: VirtualClock;
let events: MediaEvent[];
let turned: number;
beforeEach(() => {
  rtpengine = new Pretended();
  clock = new VirtualClock();
  events = [];
  turned = 0;
  engine = new RtpengineEngine({
    ...{
      id: 'm' as MediaId,
      client: rtpengine,
      innerFamily: 4,
      clock,
      random: systemRandom,
      log: silentLogger,
    },
    limits: { silentAfterMs: 10_000, orphanMs: 300_000, dscp: 46 },
    event: (event) => events.push(event),
    turned: () => turned++,
  });
});

const put = (stream: StreamSpec) => engine.put(stream, 'a1 1 1', undefined);
const away = new TwinlineError('ng_away', 'rtpengine did not answer');

describe('what rtpengine says wrong', () => {
  for (const [name, answer] of [
    ['no description', { result: 'ok' }],
    ['one without audio', { result: 'ok', sdp: 'v=0\r\n' }],
    ['a port that is none', { result: 'ok', sdp: 'c=IN IP4 1.2.3.4\r\nm=audio 99999 RTP/AVP 0\r\n' }],
    ['a list for a description', { result: 'ok', sdp: ['m=audio'] }],
  ] as const)
    test(`${name}: the put is refused, and the next one may succeed`, async () => {
      rtpengine.answers = () => answer;
      await expect(put(spec('alice'))).rejects.toMatchObject({ code: 'ng_malformed' });
      expect(engine.streams).toBe(0);
      rtpengine.answers = undefined;
      expect((await put(spec('alice'))).port).toBeGreaterThan(30_000);
    });

  test('figures that are none count nothing', async () => {
    await put(spec('alice'));
    rtpengine.answers = () => ({ result: 'ok', tags: { outer: { medias: [{ streams: 7 }] } }, SSRC: [] });
    const [report] = await engine.close('bundle0001' as never, 1, ['alice' as never]);
    expect(report).toMatchObject({ packetsReceived: 0, octetsSent: 0, jitterMs: 0, packetsLost: 0 });
  });

  test('it has no ports', async () => {
    rtpengine.answers = () => new TwinlineError('ng_refused', 'rtpengine refused offer: Ran out of ports');
    await expect(put(spec('alice'))).rejects.toMatchObject({ code: 'no_ports' });
  });
});

describe('an rtpengine that was started anew', () => {
  test('a stream that is put again has another port there: it is unknown', async () => {
    await put(spec('alice', { port: 40_000 }));
    rtpengine.forget();
    await expect(put(spec('alice', { port: 40_002 }))).rejects.toMatchObject({ code: 'unknown_stream' });
    expect(engine.find(['alice' as never]).unknown).toEqual(['alice']);
  });

  test('all that it has forgotten is told once one is missed', async () => {
    const ids = Array.from({ length: 30 }, (_, at) => `s${at}`);
    for (const id of ids) await put(spec(id));
    rtpengine.forget();
    await engine.watch(new Set());
    const lost = events.flatMap((event) => (event.type === 'lost' ? event.streams : []));
    expect(new Set(lost)).toEqual(new Set(ids));
    expect(engine.streams).toBe(0);
  });
});

test('while it does not answer new streams are sent to the twin, and those it had are lost', async () => {
  await put(spec('alice'));
  rtpengine.answers = () => away;
  await engine.watch(new Set());
  expect([engine.takesNone, turned]).toEqual([true, 1]);
  expect(events).toEqual([{ type: 'lost', streams: ['alice'] }]);
  await expect(put(spec('bob'))).rejects.toMatchObject({ code: 'draining' });
  rtpengine.answers = undefined;
  await engine.watch(new Set());
  expect([engine.takesNone, turned]).toEqual([false, 2]);
  expect((await put(spec('bob'))).port).toBeGreaterThan(30_000);
});

test('one who is not heard is told of, each time after twice as long', async () => {
  await put(spec('alice', { port: 40_000 }));
  for (let second = 0; second < 45; second++) {
    clock.advance(1_000);
    await engine.watch(new Set(['a1 1 1']));
  }
  expect(events).toEqual([
    { type: 'silent', stream: 'alice', forMs: 10_000 },
    { type: 'silent', stream: 'alice', forMs: 20_000 },
    { type: 'silent', stream: 'alice', forMs: 40_000 },
  ]);
});

test('nothing that a spec says can begin a line of the description', async () => {
  const [codec] = spec('alice').codecs;
  await put({ ...spec('alice', { port: 40_000 }), codecs: [{ ...codec!, fmtp: 'x\r\na=crypto:1 evil' }] });
  for (const { sdp } of rtpengine.asked) expect(String(sdp)).not.toMatch(/^a=crypto/m);
});
