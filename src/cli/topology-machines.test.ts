import { afterAll, describe, expect, test } from 'vitest';
import { asLines, EditedFile } from '../../test/support/edited-file.ts';
import { doorOf, linkPortsOf, placeOf } from './places.ts';
import { makePlan } from './plan.ts';
import { readTopology } from './topology.ts';

const file = new EditedFile('sip-zones/two-machines.yaml');
const local = new EditedFile('sip-zones/local.yaml');
afterAll(() => {
  file.remove();
  local.remove();
});

async function problemsOf(...edits: [string, string][]): Promise<string[]> {
  const read = await readTopology(file.with(...edits));
  return read.ok ? [] : asLines(read.error);
}

async function planOn(machine: string) {
  const topology = await readTopology('sip-zones/two-machines.yaml');
  if (!topology.ok) throw new Error(JSON.stringify(topology.error));
  const { address } = topology.value.machines.find(({ id }) => id === machine)!;
  return makePlan({
    topology: topology.value,
    machine,
    data: `/data/${machine}`,
    launcher: { pid: 1, startTime: 1 },
    portBase: 5000,
    bind: { address, reachedBy: address },
    configPath: '/config',
    loopbackOnly: false,
    version: '1',
    logs: { level: 'info', toStderr: false },
  });
}

describe('where processes of several machines meet', () => {
  test('on one machine by sockets, between machines at ports that both reckon alike', async () => {
    const [north, south, door] = await Promise.all(['north', 'south', 'door'].map(planOn));
    expect(placeOf(north!, 'zone', 'a')).toBe('/data/north/run/zone-a.sock');
    expect(placeOf(north!, 'zone', 'b')).toMatchObject({
      host: '10.81.2.1',
      port: 7000,
      expect: { role: 'zone', id: 'b' },
      certificate: 'machine:south',
    });
    expect(placeOf(north!, 'mirror', 'b')).toMatchObject({ port: 7004, expect: { role: 'media', id: 'b' } });
    for (const [role, id] of [
      ['zone', 'b'],
      ['switch', 'b2'],
      ['media', 'b'],
      ['mirror', 'b'],
    ] as const) {
      const { host, port } = doorOf(south!, role, id)!;
      expect(placeOf(north!, role, id)).toMatchObject({ host, port });
    }
    expect(placeOf(south!, 'edge', 'edge1')).toMatchObject({ host: '10.81.3.1', port: 7000 });
    expect(linkPortsOf(south!).map(({ port }) => port)).toEqual([7000, 7001, 7002, 7003, 7004]);
    expect(linkPortsOf(door!)).toEqual([{ address: '10.81.3.1', port: 7000 }]);
  });

  test('a process is believed by the certificate of the machine on which the topology has it', async () => {
    const door = doorOf(await planOn('south'), 'media', 'b')!;
    const peer = (role: string, id: string) => ({ role, id, pid: 1, startTime: 1 });
    expect(door.certificateOf(peer('switch', 'a1'))).toBe('machine:north');
    expect(door.certificateOf(peer('control', 'control-door'))).toBe('machine:door');
    expect(door.certificateOf(peer('switch', 'b1'))).toBeUndefined();
    expect(door.certificateOf(peer('switch', 'c1'))).toBeUndefined();
    expect(door.certificateOf(peer('cli', 'cli'))).toBeUndefined();
  });

  test('one machine alone has no doors for others', async () => {
    const topology = await readTopology('sip-zones/local.yaml');
    expect(topology.ok && topology.value.machines).toEqual([]);
  });
});

describe('mistakes', () => {
  test('a machine that is not there, one that is not named, one twice', async () => {
    expect(await problemsOf(['machine: south', 'machine: west'])).toEqual([
      `${file.lineOf('machine: south')}: the machine "west" of zone "b" is not among them (north, south, door)`,
    ]);
    expect(await problemsOf(['    machine: door\n', ''])).toEqual([
      `${file.lineOf('id: edge1')}: edge "edge1" names no machine (north, south, door)`,
    ]);
    expect(await problemsOf(['{ id: door, address: 10.81.3.1', '{ id: south, address: 10.81.2.1'])).toEqual(
      expect.arrayContaining([
        `${file.lineOf('id: door')}: machine "south" is given twice, first in line ${file.lineOf('id: south')}`,
        `${file.lineOf('id: door')}: address "10.81.2.1" is given twice, first in line ${file.lineOf('id: south')}`,
      ]),
    );
  });

  test('a pair on one machine, and a pair on two without a state that both reach', async () => {
    expect(await problemsOf(['machine: south', 'machine: north'])).toEqual([
      `${file.lineOf('machine: north')}: zone "a" and its twin "b" are on one machine: its death would take both`,
      `${file.lineOf('machine: south')}: zone "b" and its twin "a" are on one machine: its death would take both`,
    ]);
    expect(await problemsOf(['engine: redis\n  url: redis://10.81.3.1:6379', 'engine: lmdb'])).toEqual([
      expect.stringContaining('"state" must be engine redis, since LMDB is a file of one machine'),
      expect.stringContaining('"state" must be engine redis, since LMDB is a file of one machine'),
    ]);
    expect(await problemsOf(['redis://10.81.3.1', 'redis://127.0.0.1'])).toEqual([
      `${file.lineOf('url:')}: "url" names 127.0.0.1, which is another Redis on each machine`,
    ]);
  });

  test('media without an address of its own, or with no way to move it', async () => {
    expect(await problemsOf(['    media-addresses: [10.81.9.1]\n', ''])).toEqual([
      `${file.lineOf('machine: north')}: zone "a" needs as many "media-addresses" as it has media processes (1): each goes over to the twin's machine when its process dies`,
    ]);
    expect(await problemsOf(['[10.81.9.1]', '[10.81.9.1, 10.81.9.2]'])).toEqual(
      expect.arrayContaining([
        expect.stringContaining('address "10.81.9.2" is given twice'),
        expect.stringContaining('zone "a" needs as many "media-addresses"'),
      ]),
    );
    expect(
      await problemsOf([
        'address: 10.81.2.1, link-ports: 7000, media-device: eth0',
        'address: 10.81.2.1, link-ports: 7000',
      ]),
    ).toEqual([
      `${file.lineOf('machine: south')}: machine "south" has zone "b" and must say by "media-device" or "media-command" how the address of media is moved`,
    ]);
  });

  test('a machine in a file that lists none', async () => {
    const read = await readTopology(local.with(['    twin: b', '    twin: b\n    machine: north']));
    expect(read.ok ? [] : asLines(read.error)).toEqual([
      `${local.lineOf('twin: b') + 1}: zone "a" names a machine, but there is no list of "machines"`,
    ]);
  });
});
