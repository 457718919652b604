import { describe, expect, test } from 'vitest';
import { PacketPath, rtpPacket } from '../../test/support/packet-path.ts';
import { spec } from '../../test/support/stream-spec.ts';
import { VirtualClock } from '../base/index.ts';
import { type PacketHandler, parseAddress, UdpAddress, type UdpSocket } from '../native/index.ts';
import { writeRtcp, writeTelephoneEvent } from '../rtp/index.ts';
import { applySpec } from './apply-spec.ts';
import { Relay } from './relay.ts';
import { Stream } from './stream.ts';
import { readBacklog } from './take-over.ts';

/** A socket in whose queue these packets wait. */
function socketWith(packets: readonly Buffer[], from: string, port: number): UdpSocket {
  const source = parseAddress(from, port)!;
  return {
    fd: 1,
    local: new UdpAddress(),
    open: true,
    resume() {},
    pause() {},
    send: () => true,
    kernelDrops: () => 0,
    close() {},
    drain(handler: PacketHandler) {
      const buffers = packets.map((packet) => Buffer.concat([packet, Buffer.alloc(128)]));
      const lengths = Uint32Array.from(packets, (packet) => packet.length);
      handler({ count: packets.length, buffers, lengths, sources: packets.map(() => source), send() {} });
      return packets.length;
    },
  };
}

describe('the queue of a socket that was taken over', () => {
  test('of a second of audio the newest 60 ms are passed on; events and RTCP are never too old', () => {
    const path = new PacketPath();
    const alice = spec('alice', { port: 5000, source: 'bob', telephoneEvent: 101 });
    const event = Buffer.alloc(4);
    writeTelephoneEvent(event, 0, 5, true, 10, 800);
    const report = Buffer.alloc(64);
    const reportLength = writeRtcp(report, [{ type: 'rr', ssrc: 7, reports: [] }]);
    const audio = (sequence: number) =>
      rtpPacket({ sequence, timestamp: sequence * 160, payload: `${sequence}` });
    const queue = [
      ...Array.from({ length: 20 }, (_, i) => audio(65_500 + i)),
      rtpPacket({ type: 101, sequence: 65_520, timestamp: 65_520 * 160, payload: event }),
      Buffer.from([1, 2, 3]),
      ...Array.from({ length: 30 }, (_, i) => audio((65_521 + i) % 65_536)),
    ];
    // Timestamps go on across the wrap of sequence numbers.
    for (const [i, packet] of queue.entries()) if (i > 21) packet.writeUInt32BE((65_521 + i - 22) * 160, 4);
    const stream = new Stream(
      alice,
      { address: '127.0.0.1', port: 40_000 },
      {
        rtp: socketWith(queue, '127.0.0.1', 5000),
        rtcp: socketWith([report.subarray(0, reportLength)], '127.0.0.1', 5001),
      },
      1,
      0,
    );
    applySpec(stream, alice, 0, true);
    path.graph.connect(stream);
    path.put(spec('bob', { port: 6000, source: 'alice', telephoneEvent: 101 }));
    const passed: string[] = [];
    const relay = new Relay({
      send: (sink, fromRtcp, packet, length) =>
        passed.push(
          `${sink.id}${fromRtcp ? ' rtcp' : ''} ${fromRtcp ? '' : packet.subarray(12, length).toString('latin1')}`,
        ),
      commit: () => true,
      note() {},
      event: ({ type }) => passed.push(type),
    });
    const backlog = readBacklog(stream, relay, new VirtualClock());
    const newest = [65_547, 65_548, 65_549, 65_550].map((sequence) => `bob ${sequence % 65_536}`);
    expect(passed).toEqual(['dtmf', `bob ${event.toString('latin1')}`, ...newest, 'bob rtcp ']);
    expect(backlog).toEqual({ passed: 7, tooOld: 46 });
  });
});
