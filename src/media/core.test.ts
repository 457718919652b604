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
    fingerprint: () => ({}),
    negotiate() {},
    closeSockets: (stream) => void open.delete(stream.id),
    event: (event) => void events.push(event),
    ...more,
  });
  return { core, clock, events, open, mirrored };
}

const ice = { localUfrag: 'abcd', localPassword: 'of+22+characters+at+least' };
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
    ['ice', { ...spec('s', { rtcpMux: true }), ice: 'lite' }],
    ['ice', spec('s', { ice })],
    ['ice', spec('s', { rtcpMux: true, ice: { ...ice, remoteUfrag: 'abcd' } })],
    ['ice.localUfrag', spec('s', { rtcpMux: true, ice: { ...ice, localUfrag: 'abc' } })],
    ['ice.localPassword', spec('s', { rtcpMux: true, ice: { ...ice, localPassword: 'too+short' } })],
    ['ice.remoteUfrag', spec('s', { rtcpMux: true, ice: { ...ice, remoteUfrag: 'a:b c' } })],
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
    expect(opened).toMatchObject({
      stream: 's',
      media: 'a',
      address: '192.0.2.7',
      port: 20_002,
      rtcpPort: 20_002,
    });
    expect(opened.transcodes).toEqual(expect.arrayContaining(['pcmu', 'pcma']));
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

describe('who may command (PH-ZONE-17)', () => {
  test('an epoch is learned before its first stream is touched, by the owner’s word or the twin’s', async () => {
    const { core } = newCore();
    await core.put(spec('s', { epoch: 3 }), 'a1');
    core.epochs.learn({ bundle: 'bundle0001' as BundleId, epoch: 5 });
    core.epochs.learn({ bundle: 'bundle0001' as BundleId, epoch: 4 });
    await expect(core.put(spec('s', { epoch: 4 }), 'a1')).rejects.toMatchObject({ code: 'stale_epoch' });
    expect(() => core.close('bundle0001' as BundleId, 4, ['s' as StreamId])).toThrow('epoch 5');
    expect(core.close('bundle0001' as BundleId, 5, ['s' as StreamId])).toHaveLength(1);
  });

  test('a migrated stream is the new bundle’s; the former owner is stale, whatever its epoch', async () => {
    const { core } = newCore();
    await core.put(spec('s', { epoch: 3 }), 'a1');
    const moved = {
      ...spec('s', { bundle: 'bundle0002', epoch: 1 }),
      movedFrom: { bundle: 'bundle0001', epoch: 3 },
    };
    const stale = { ...moved, movedFrom: { bundle: 'bundle0001', epoch: 2 } };
    await expect(core.put(stale, 'b1')).rejects.toMatchObject({ code: 'stale_epoch' });
    await core.put(moved, 'b1');
    await core.put(moved, 'b1');
    await expect(core.put(spec('s', { epoch: 9 }), 'a1')).rejects.toMatchObject({ code: 'stale_epoch' });
    expect(core.close('bundle0001' as BundleId, 9, ['s' as StreamId])).toEqual([]);
    expect(core.close('bundle0002' as BundleId, 1, ['s' as StreamId])).toHaveLength(1);
  });
});

describe('an internal link', () => {
  const link = (id: string, more: object = {}) => ({ ...spec(id), link: { peer: `${id}-peer` }, ...more });

  test('its first end makes the keys, and keeps them when it is put again without', async () => {
    const { core } = newCore();
    const { keys } = await core.put(link('l'), 'a1');
    expect([keys?.sendKey.suite, keys?.receiveKey.suite]).toEqual(['AEAD_AES_256_GCM', 'AEAD_AES_256_GCM']);
    expect(keys?.sendKey.keySalt).not.toBe(keys?.receiveKey.keySalt);
    expect((await core.put(link('l'), 'a2')).keys).toEqual(keys);
    const given = { sendKey: keys!.receiveKey, receiveKey: keys!.sendKey };
    expect((await core.put(link('r', given), 'a1')).keys).toEqual(given);
  });

  test.each([
    [
      'another suite',
      { sendKey: { suite: 'AEAD_AES_128_GCM', keySalt: Buffer.alloc(28).toString('base64') } },
    ],
    ['one key', { sendKey: { suite: 'AEAD_AES_256_GCM', keySalt: Buffer.alloc(44).toString('base64') } }],
    ['an address of others', { remote: { address: '198.51.100.1', port: 5, rtcpPort: 6 } }],
    ['no other end', { link: {} }],
    ['itself as its other end', { link: { peer: 'l' } }],
  ])('with %s is refused', async (_what, wrong) => {
    const { core, open } = newCore();
    await expect(core.put(link('l', wrong), 'a1')).rejects.toMatchObject({ code: 'bad_spec' });
    expect(open.size).toBe(0);
  });

  test('does not become a phone’s stream, nor the other way round; its silence is told by nobody', async () => {
    const { core, clock, events } = newCore();
    await core.put(link('l', { remote: { address: '192.0.2.7', port: 5, rtcpPort: 6 } }), 'a1');
    await expect(core.put(spec('l'), 'a1')).rejects.toMatchObject({ code: 'bad_spec' });
    await core.put(spec('s', { direction: 'inactive' }), 'a1');
    await expect(core.put(link('s'), 'a1')).rejects.toMatchObject({ code: 'bad_spec' });
    clock.advance(30_000);
    core.tick(() => true);
    expect(events).toEqual([]);
  });
});

describe('what both processes of a pair lost', () => {
  const place = { address: '192.0.2.7', port: 20_100 };
  const atPlace = {
    openSocketsAt: ({ address, port }: { address: string; port: number }) => {
      const socket = { local: parseAddress(address, port)! } as UdpSocket;
      return port === place.port ? { rtp: socket, rtcp: socket } : undefined;
    },
  };
  const key = { suite: 'AEAD_AES_256_GCM', keySalt: Buffer.alloc(44).toString('base64') } as const;

  test('a plain stream is opened just where it was', async () => {
    const { core } = newCore(atPlace);
    expect(await core.put(spec('s'), 'a1', place)).toMatchObject(place);
    // Known, it is only changed.
    expect(await core.put(spec('s'), 'a1', { ...place, port: 1000 })).toMatchObject(place);
  });

  test('a keyed one is not: indices under its key may have been used; with new keys it is a new stream', async () => {
    const { core } = newCore(atPlace);
    const keyed = spec('s', { sendKey: key, receiveKey: key });
    await expect(core.put(keyed, 'a1', place)).rejects.toMatchObject({ code: 'unknown_stream' });
    await expect(core.put(spec('t'), 'a1', { ...place, port: 30_000 })).rejects.toMatchObject({
      code: 'unknown_stream',
    });
    await expect(core.put(spec('t'), 'a1', { address: 'x', port: 1 })).rejects.toMatchObject({
      code: 'bad_spec',
    });
    expect(core.find(['s', 'twins'] as StreamId[])).toEqual({
      here: [],
      standby: ['twins'],
      unknown: ['s'],
    });
    expect((await core.put(keyed, 'a1')).port).not.toBe(place.port);
  });
});

describe('streams that nobody hears of any more', () => {
  test('silence is told after 10 s, then ever more rarely', async () => {
    const { core, clock, events } = newCore();
    await core.put(spec('s'), 'a1');
    await core.put(spec('held', { direction: 'inactive' }), 'a1');
    await core.put({ ...spec('fax'), codecs: [], udptl: true }, 'a1');
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

  test('a call that was held for long is still there when its switch dies, and when its media process does, until it is adopted', async () => {
    const { core, clock, open } = newCore();
    await core.put(spec('s', { direction: 'inactive' }), 'a1');
    const mine = core.graph.get('s' as StreamId)!;
    for (let minute = 0; minute < 60; minute++) {
      clock.advance(60_000);
      core.tick((owner) => owner === 'a1');
    }
    clock.advance(250);
    core.tick(() => false);
    expect([...open]).toEqual(['s']);
    const twin = newCore({ clock });
    twin.core.adopt([mine]);
    clock.advance(299_000);
    twin.core.tick(() => false);
    expect(twin.core.graph.size).toBe(1);
    await twin.core.put(spec('s', { epoch: 2, direction: 'inactive' }), 'b1');
    clock.advance(300_000);
    twin.core.tick((owner) => owner === 'b1');
    expect(twin.core.graph.size).toBe(1);
    clock.advance(300_000);
    twin.core.tick(() => false);
    expect(twin.core.graph.size).toBe(0);
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
