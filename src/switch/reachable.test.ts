import { expect, it } from 'vitest';
import type { EdgeId } from '../base/index.ts';
import type { Binding } from '../directory/index.ts';
import { reachable } from './reachable.ts';

const binding = (edge: string, transport: string, instanceId?: string): Binding =>
  ({ deviceId: 'desk', instanceId, flow: { edge, transport } }) as unknown as Binding;
const gone = new Set(['edge1' as EdgeId]);

it('a connection is gone with its edge', () => {
  const [dead, alive] = [binding('edge1', 'tls'), binding('edge2', 'tls')];
  expect(reachable([dead, alive], gone)).toEqual([alive]);
});

it('a UDP flow is waited for, unless the same phone has another', () => {
  const [lonely, twofold, second] = [
    binding('edge1', 'udp'),
    binding('edge1', 'udp', '<urn:uuid:one>'),
    binding('edge2', 'udp', '<urn:uuid:one>'),
  ];
  expect(reachable([lonely, twofold, second], gone)).toEqual([lonely, second]);
});

it('with every edge there every flow counts', () => {
  const all = [binding('edge1', 'tls'), binding('edge2', 'udp')];
  expect(reachable(all, new Set())).toEqual(all);
});
