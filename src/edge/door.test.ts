import { createSocket } from 'node:dgram';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { eventually, SocketBench } from '../../test/support/edge-sockets.ts';

const options = (branch: string): Buffer =>
  Buffer.from(
    `OPTIONS sip:edge.test SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=${branch};rport\r\nMax-Forwards: 70\r\nFrom: <sip:a@edge.test>;tag=1\r\nTo: <sip:edge.test>\r\nCall-ID: ${branch}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n`,
  );

describe('a plain-SIP door', () => {
  let bench: SocketBench;
  beforeEach(() => {
    bench = new SocketBench();
  });
  afterEach(() => bench.stop());

  it('lets its proxy in; the flow names the proxy and no edge, and answers come back by it', async () => {
    await bench.start([{ transport: 'udp', door: { proxies: ['127.0.0.1'] } }]);
    const proxy = createSocket('udp4');
    try {
      const answers: string[] = [];
      proxy.on('message', (bytes) => answers.push(bytes.toString('latin1')));
      await new Promise<void>((resolve) => proxy.bind(0, '127.0.0.1', resolve));
      proxy.send(options('z9hG4bKone'), bench.port(), '127.0.0.1');
      await eventually('the switch got it', () => bench.got.length === 1);
      const { flow } = bench.got[0]!;
      expect(flow).toMatchObject({ id: `d:127.0.0.1:${proxy.address().port}`, door: true });
      await eventually('the proxy is answered', () => answers.length === 1);
      expect(answers[0]).toMatch(/^SIP\/2\.0 200 /);
    } finally {
      proxy.close();
    }
  });

  it('meets everybody else with silence', async () => {
    await bench.start([
      { transport: 'udp', door: { proxies: ['127.0.0.2', '::1'] } },
      { transport: 'udp', door: { proxies: ['127.0.0.1'] } },
    ]);
    const stranger = createSocket('udp4');
    try {
      await new Promise<void>((resolve) => stranger.bind(0, '127.0.0.1', resolve));
      stranger.send(options('z9hG4bKstranger'), bench.port(0), '127.0.0.1');
      // The marker: what was sent after it, to a door that knows it.
      stranger.send(options('z9hG4bKmarker'), bench.port(1), '127.0.0.1');
      await eventually('the marker came', () => bench.got.length > 0);
      await eventually('the stranger was counted', () =>
        bench.edge.metrics().includes('reason="stranger_at_door"} 1'),
      );
      expect(bench.got.map(({ text }) => /Call-ID: (.*)\r/.exec(text)?.[1])).toEqual(['z9hG4bKmarker']);
    } finally {
      stranger.close();
    }
  });

  it('puts no limit on its proxy: behind it stand all the phones', async () => {
    await bench.start([{ transport: 'udp', door: { proxies: ['127.0.0.1'] } }], {
      newWorkBurst: 2,
      newWorkPerSec: 1,
      unlimitedSources: [],
    });
    const proxy = createSocket('udp4');
    try {
      await new Promise<void>((resolve) => proxy.bind(0, '127.0.0.1', resolve));
      for (let n = 0; n < 20; n++) proxy.send(options(`z9hG4bK${n}`), bench.port(), '127.0.0.1');
      await eventually('all of them came', () => bench.got.length === 20);
    } finally {
      proxy.close();
    }
  });
});
