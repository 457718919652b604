import { readFile } from 'node:fs/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { asLines, EditedFile } from '../../test/support/edited-file.ts';
import { mediaPortsOf, parsePortRange, readTopology } from './topology.ts';

const local = new EditedFile('sip-zones/local.yaml');
afterAll(() => local.remove());

/** The problems of `sip-zones/local.yaml` after the given replacements, as `line: sentence`. */
async function problemsOf(...edits: [string, string][]): Promise<string[]> {
  const read = await readTopology(local.with(...edits));
  return read.ok ? [] : asLines(read.error);
}
const lineOf = (text: string): number => local.lineOf(text);

describe('sip-zones/local.yaml', () => {
  test('is two zones, each the twin of the other, behind one edge', async () => {
    const read = await readTopology('sip-zones/local.yaml');
    if (!read.ok) throw new Error(JSON.stringify(read.error));
    expect(read.value.zones.map(({ id, twin, switches, media }) => [id, twin, switches, media])).toEqual([
      ['a', 'b', 2, 1],
      ['b', 'a', 2, 1],
    ]);
    expect(read.value.edges[0]!.listeners.map(({ transport, offset }) => `${transport} ${offset}`)).toEqual([
      'udp 60',
      'tcp 60',
      'tls 61',
      'ws 62',
      'wss 63',
    ]);
    expect(read.value.http).toEqual({ plain: 80, tls: 81 });
  });

  test('its media ports lie below the range from which the kernel takes its own', async () => {
    const kernel = (await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8')).split('\t').map(Number);
    const read = await readTopology('sip-zones/local.yaml');
    expect(read.ok && read.value.mediaPorts.to).toBeLessThan(kernel[0]!);
  });
});

describe('mistakes', () => {
  test('a zone named twice and a twin that does not exist', async () => {
    expect(await problemsOf(['id: b', 'id: a'])).toEqual([
      `${lineOf('twin: b')}: the twin "b" of zone "a" is not among the zones`,
      `${lineOf('id: b')}: zone "a" is given twice, first in line ${lineOf('id: a')}`,
      `${lineOf('twin: a')}: zone "a" is named as its own twin`,
    ]);
  });

  test('a range too small for the capacity (PH-EDGE-05)', async () => {
    expect(await problemsOf(['16384-32767', '20000-20999'])).toEqual([
      expect.stringContaining('zone "a" needs 8000 media ports, but its share of 20000-20999 has 500'),
      expect.stringContaining('zone "b" needs 8000 media ports, but its share of 20000-20999 has 500'),
    ]);
    expect(await problemsOf(['calls: 2000', 'calls: 2001'])).toEqual([
      `${lineOf('media-ports: 8000')}: 8000 media ports are too few for 2001 calls of zone "a": each needs 4, so 8004`,
    ]);
  });

  test('two listeners on one port, a bad transport and an unknown key in one go', async () => {
    expect(
      await problemsOf(
        ['transport: wss', 'transport: quic'],
        ['transport: ws, offset: 62', 'transport: ws, offset: 61'],
        ['media: 1', 'medias: 1'],
      ),
    ).toEqual([
      `${lineOf('offset: 62')}: offset 61 is taken by both tls of edge "edge1" and ws of edge "edge1"`,
      `${lineOf('offset: 63')}: "transport" must be udp, tcp, tls, ws or wss, not "quic"`,
      `${lineOf('id: a')}: "media" is missing`,
      `${lineOf('media: 1')}: "medias" is not a setting here`,
    ]);
  });
});

test('a narrow range on the command line lowers the capacity; one that carries no call is refused', async () => {
  const read = await readTopology('sip-zones/local.yaml', { mediaPorts: { from: 20_000, to: 20_399 } });
  expect(read.ok && read.value.zones[1]!.capacity).toEqual({
    calls: 50,
    callsPerSecond: 200,
    mediaPorts: 200,
  });
  const none = await readTopology('sip-zones/local.yaml', { mediaPorts: { from: 20_000, to: 20_007 } });
  expect(none.ok ? [] : none.error.map(({ message }) => message)).toEqual([
    'the media ports 20000-20007 are too few for 2 zones',
  ]);
});

test('each zone gets an equal share that begins at an even port', () => {
  const range = { from: 16_385, to: 32_767 };
  const a = mediaPortsOf(range, 2, 0);
  const b = mediaPortsOf(range, 2, 1);
  expect([a.from % 2, b.from % 2, a.to % 2, b.to % 2]).toEqual([0, 0, 1, 1]);
  expect(a.to + 1).toBe(b.from);
  expect(b.to).toBeLessThanOrEqual(range.to);
  expect(a.to - a.from).toBe(b.to - b.from);
});

test('a port range is two numbers upwards', () => {
  expect(parsePortRange('20000-20100')).toEqual({ from: 20_000, to: 20_100 });
  for (const bad of ['20100-20000', '80-20000', '20000', '20000-70000', 'a-b', ''])
    expect(parsePortRange(bad)).toBeUndefined();
});
