import { expect, test } from 'vitest';
import { makePlan } from './plan.ts';
import { readTopology } from './topology.ts';

async function planFor(address: string, reachedBy: string, loopbackOnly: boolean) {
  const topology = await readTopology('sip-zones/local.yaml');
  if (!topology.ok) throw new Error();
  return makePlan({
    topology: topology.value,
    data: '/data',
    launcher: { pid: 1, startTime: 1 },
    portBase: 7000,
    bind: { address, reachedBy },
    configPath: '/config',
    loopbackOnly,
    version: '1',
    logs: { level: 'info', toStderr: false },
  });
}

test('the local topology on loopback: names, ports and shares', async () => {
  const { edges, zones } = await planFor('127.0.0.1', '127.0.0.1', true);
  expect(edges[0]!.listeners).toContainEqual({ transport: 'wss', address: '127.0.0.1', port: 7063 });
  expect(zones.map(({ switches }) => switches)).toEqual([
    ['a1', 'a2'],
    ['b1', 'b2'],
  ]);
  expect(zones.map(({ media }) => media)).toEqual([
    [{ id: 'a', ports: { from: 16_384, to: 24_575 } }],
    [{ id: 'b', ports: { from: 24_576, to: 32_767 } }],
  ]);
});

test('on another address plain WebSocket stays on loopback; every address is known by one', async () => {
  const { edges, mediaAddress } = await planFor('0.0.0.0', '192.0.2.5', false);
  expect(
    edges[0]!.listeners.map(({ transport, address, advertise }) => [transport, address, advertise]),
  ).toEqual([
    ['udp', '0.0.0.0', '192.0.2.5'],
    ['tcp', '0.0.0.0', '192.0.2.5'],
    ['tls', '0.0.0.0', '192.0.2.5'],
    ['ws', '127.0.0.1', undefined],
    ['wss', '0.0.0.0', '192.0.2.5'],
  ]);
  expect(mediaAddress).toBe('192.0.2.5');
});
