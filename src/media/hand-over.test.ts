import { expect, test } from 'vitest';
import { PacketPath } from '../../test/support/packet-path.ts';
import { spec } from '../../test/support/stream-spec.ts';
import { silentLogger, VirtualClock } from '../base/index.ts';
import { HandOver } from './hand-over.ts';
import type { DtlsTransport } from './negotiation.ts';

test('a stream in the middle of its handshake stays, with those who hear it; the others go, and it goes later', async () => {
  const path = new PacketPath();
  for (const call of ['quiet', 'busy']) {
    path.put(spec(`${call}-l`, { source: `${call}-r` }));
    path.put(spec(`${call}-r`, { source: `${call}-l` }));
  }
  let handshaking = true;
  const dtls: DtlsTransport = {
    get handshaking() {
      return handshaking;
    },
    receive() {},
    tick() {},
    close() {},
  };
  path.stream('busy-l').dtls = dtls;
  const given: string[] = [];
  const handOver = new HandOver({
    clock: new VirtualClock(),
    log: silentLogger,
    graph: path.graph,
    giver: {
      distant: false,
      twinPid: 1,
      ready: async () => true,
      give: async (streams) => {
        const ids = streams.map(({ id }) => id);
        given.push(...ids);
        return ids;
      },
      put: async () => {},
    },
    start() {},
    release() {},
  });
  expect(await handOver.run()).toEqual({ handed: 2, remaining: 2, reason: 'handshaking' });
  expect(given.sort()).toEqual(['quiet-l', 'quiet-r']);
  handshaking = false;
  expect(await handOver.run()).toEqual({ handed: 2, remaining: 0 });
});
