import { describe, expect, test } from 'vitest';
import { spec } from '../../test/support/stream-spec.ts';
import {
  type BundleId,
  type MediaId,
  type StreamId,
  seededRandom,
  silentLogger,
  VirtualClock,
} from '../base/index.ts';
import { parseAddress, type UdpSocket } from '../native/index.ts';
import { type CoreOptions, MediaCore } from './core.ts';
import { DEFAULT_LIMITS } from './options.ts';
import type { MediaEvent } from './protocol.ts';

function newCore(more: Partial<CoreOptions> = {}) {
  const clock = new VirtualClock();
  const events: MediaEvent[] = [];
  const open = new Set<string>();
  const mirrored: string[] = [];
  let port = 20_000;
  const core = new MediaCore({
    id: 'a' as MediaId,
    addresses: { 4: '192.0.2.7' },
    clock,
    random: seededRandom(1),
    log: silentLogger,
    limits: DEFAULT_LIMITS,
    mirror: {
      put: async (stream) => void mirrored.push(`put ${stream.id}`),
      commit: () => true,
      closed: (streams) => void mirrored.push(`closed ${streams.join()}`),
      progress() {},
      standsBy: (stream) => stream === 'twins',
      connected: true,
      epochs: (epochs) => {
        for (const { bundle, epoch } of epochs) mirrored.push(`epoch ${bundle} ${epoch}`);
      },
    },
    openSocketsAt: () => undefined,
    isOurs: (address) => address.words[0] === parseAddress('192.0.2.7', 1)!.words[0],
    openSockets(address) {
      port += 2;
      const socket = { local: parseAddress(address, port)! } as UdpSocket;
      return { rtp: socket, rtcp: socket };
    },
    start: (stream) => void open.add(stream.id),
    closeSockets: (stream) => void open.delete(stream.id),
    event: (event) => void events.push(event),
    ...more,
  });
  return { core, clock, events, open, mirrored };
}

const noKey = { suite: 'AEAD_AES_256_GCM', keySalt: 'AAAA' } as const;

describe('what a switch says of streams', () => {
  test.each([
    ['stream', 7],
    ['id', { ...spec('s'), id: '' }],
    ['call', { ...spec('s'), call: 5 }],
    ['epoch', { ...spec('s'), epoch: -1 }],
    ['family', { ...spec('s'), family: 5 }],
    ['family', { ...spec('s'), family: 6 }],
    ['rtcpMux', { ...spec('s'), rtcpMux: 'no' }],
    ['direction', { ...spec('s'), direction: 'both' }],
    ['source', spec('s', { source: 's' })],
    ['remote.address', spec('s', { address: 'phone.example', port: 5 })],
    ['remote.address', spec('s', { address: '::1', port: 5 })],
    ['remote.address', spec('s', { address: '224.0.0.1', port: 5 })],
    ['remote.address', spec('s', { address: '255.255.255.255', port: 5 })],
    ['remote.port', spec('s', { port: 65_536 })],
    ['sendKey', spec('s', { sendKey: noKey })],
    ['receiveKey', spec('s', { receiveKey: { suite: 'NULL' as 'AEAD_AES_256_GCM', keySalt: '' } })],
    [
      'codecs[0].payloadType',
      { ...spec('s'), codecs: [{ payloadType: 128, name: 'x', clockRateHz: 1, channels: 1 }] },
    ],
    ['codecs', { ...spec('s'), codecs: null }],
  ])('a bad %s is named, and opens nothing', async (field, value) => {
    const { core, open } = newCore();
    const refusal = core.put(value, 'a1');
    await expect(refusal).rejects.toMatchObject({ code: 'bad_spec' });
    await expect(refusal).rejects.toThrow(field);
    expect(open.size).toBe(0);
  });

  test('the reply says where the peer may send, and comes after the twin was told', async () => {
    const { core, mirrored } = newCore();
    const opened = await core.put(spec('s', { rtcpMux: true }), 'a1');
    expect(opened).toEqual({ stream: 's', media: 'a', address: '192.0.2.7', port: 20_002, rtcpPort: 20_002 });
    expect(mirrored).toEqual(['epoch bundle0001 1', 'put s']);
  });

  test('a stream belongs to its bundle', async () => {
    const { core, open } = newCore();
    await core.put(spec('s'), 'a1');
    await expect(core.put(spec('s', { bundle: 'other' }), 'a1')).rejects.toMatchObject({ code: 'bad_spec' });
    expect(core.close('other' as BundleId, 1, ['s' as StreamId])).toEqual([]);
    expect([...open]).toEqual(['s']);
  });

  test('what is the twin’s is not opened a second time', async () => {
    const { core } = newCore();
    await expect(core.put(spec('twins'), 'a1')).rejects.toMatchObject({ code: 'standby' });
    expect(() => core.close('bundle0001' as BundleId, 1, ['twins' as StreamId])).toThrow('twin');
  });
});

describe('streams that nobody hears of any more', () => {
  test('silence is told after 10 s, then ever more rarely', async () => {
    const { core, clock, events } = newCore();
    await core.put(spec('s'), 'a1');
    await core.put(spec('held', { direction: 'inactive' }), 'a1');
    const at: number[] = [];
    for (let second = 1; second <= 100; second++) {
      clock.advance(1000);
      core.tick(() => true);
      if (events.length > at.length) at.push(second);
    }
    expect(at).toEqual([10, 20, 40, 80]);
    expect(events[0]).toEqual({ type: 'silent', stream: 's', forMs: 10_000 });
  });

  test('a held call stays for hours while its switch is there; without one it ends 5 minutes after the last packet', async () => {
    const { core, clock, open, mirrored } = newCore();
    await core.put(spec('s', { direction: 'inactive' }), 'a1');
    for (let minute = 0; minute < 240; minute++) {
      clock.advance(60_000);
      core.tick((owner) => owner === 'a1');
    }
    expect([...open]).toEqual(['s']);
    await core.put(spec('t'), 'a2');
    clock.advance(299_000);
    core.tick((owner) => owner === 'a1');
    expect([...open]).toEqual(['s', 't']);
    clock.advance(1000);
    core.tick((owner) => owner === 'a1');
    expect([...open]).toEqual(['s']);
    expect(mirrored.at(-1)).toBe('closed t');
  });

  test('an owner that comes back in time keeps its stream', async () => {
    const { core, clock, open } = newCore();
    await core.put(spec('s'), 'a1');
    clock.advance(400_000);
    await core.put(spec('s', { epoch: 2 }), 'b1');
    core.tick((owner) => owner === 'b1');
    expect([...open]).toEqual(['s']);
  });
});

test('sources and sinks find each other in whatever order they come and go', async () => {
  const { core } = newCore();
  const get = (id: string) => core.graph.get(id as StreamId);
  await core.put(spec('listener', { source: 'speaker' }), 'a1');
  expect(get('listener')?.source).toBeUndefined();
  await core.put(spec('speaker', { source: 'listener' }), 'a1');
  expect(get('listener')?.source).toBe(get('speaker'));
  expect(get('speaker')?.sinks).toEqual([get('listener')]);
  core.close('bundle0001' as BundleId, 1, ['speaker' as StreamId]);
  expect(get('listener')?.source).toBeUndefined();
  expect(get('listener')?.sinks).toEqual([]);
  await core.put(spec('speaker'), 'a1');
  expect(get('speaker')?.sinks).toEqual([get('listener')]);
  await core.put(spec('listener'), 'a1');
  expect(get('speaker')?.sinks).toEqual([]);
});
