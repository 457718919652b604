import { describe, expect, it } from 'vitest';
import { UdptlReceiver, UdptlSender } from './udptl.ts';

const packets = Array.from({ length: 12 }, (_, i) => Buffer.alloc(i === 5 ? 300 : 3 + i, i));

function receiver() {
  const heard: [number, Buffer][] = [];
  const of = new UdptlReceiver((packet, sequence) => heard.push([sequence, Buffer.from(packet)]));
  return { of, heard };
}

describe('UDPTL', () => {
  it('writes a packet, its number and those before it as T.38 Annex A shows', () => {
    const sender = new UdptlSender({ redundancy: 1 });
    expect(sender.wrap(Buffer.from([0x06])).toString('hex')).toBe('00000106' + '0000');
    expect(sender.wrap(Buffer.from([0x04, 0x00])).toString('hex')).toBe('0001020400' + '0001' + '0106');
  });

  it('wins back what was lost, in order and once', () => {
    const sender = new UdptlSender({ redundancy: 3 });
    const { of, heard } = receiver();
    for (const [at, packet] of packets.entries()) {
      const datagram = sender.wrap(packet);
      if (at === 2 || (at >= 6 && at < 9)) continue;
      of.take(datagram);
      of.take(datagram);
    }
    expect(heard).toEqual(packets.map((packet, at) => [at, packet]));
    expect(of).toMatchObject({ recovered: 4, lost: 0, malformed: 0 });
  });

  it('goes on after a gap that is longer than the repetitions', () => {
    const sender = new UdptlSender({ redundancy: 2 });
    const { of, heard } = receiver();
    for (const [at, packet] of packets.entries()) {
      const datagram = sender.wrap(packet);
      if (at < 4 || at > 8) of.take(datagram);
    }
    expect(heard.map(([sequence]) => sequence)).toEqual([0, 1, 2, 3, 7, 8, 9, 10, 11]);
    expect(of).toMatchObject({ recovered: 2, lost: 3 });
  });

  it('leaves what was cut aside', () => {
    const { of, heard } = receiver();
    const datagram = new UdptlSender({ redundancy: 0 }).wrap(packets[5]!);
    for (const length of [0, 2, 4, 60]) of.take(datagram.subarray(0, length));
    expect(heard).toEqual([]);
    expect(of.malformed).toBe(4);
  });
});
