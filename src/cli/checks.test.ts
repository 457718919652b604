import { createSocket } from 'node:dgram';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkBind, checkDataDirectory, checkPorts } from './checks.ts';

describe('ports (PH-EDGE-03)', () => {
  test('every one in use is named with its address', async () => {
    const tcp = createServer();
    await new Promise<void>((up) => tcp.listen(0, '127.0.0.1', up));
    const udp = createSocket('udp4');
    await new Promise<void>((up) => udp.bind(0, '127.0.0.1', up));
    const tcpPort = (tcp.address() as AddressInfo).port;
    const udpPort = udp.address().port;
    try {
      const taken = checkPorts([
        { transport: 'tls', address: '127.0.0.1', port: tcpPort },
        { transport: 'udp', address: '127.0.0.1', port: udpPort },
      ]);
      await expect(taken).rejects.toMatchObject({
        code: 'port_in_use',
        message: [
          `TCP port ${tcpPort} on 127.0.0.1 (tls) is in use: stop what uses it, or choose another --port-base`,
          `UDP port ${udpPort} on 127.0.0.1 (udp) is in use: stop what uses it, or choose another --port-base`,
        ].join('\n'),
      });
    } finally {
      tcp.close();
      await new Promise<void>((closed) => udp.close(closed));
    }
    await checkPorts([{ transport: 'udp', address: '127.0.0.1', port: udpPort }]);
  });
});

describe('the address', () => {
  const outside = Object.values(networkInterfaces())
    .flatMap((one) => one ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;

  test('loopback is loopback', () => {
    expect(checkBind('127.0.0.1')).toEqual({
      address: '127.0.0.1',
      reachedBy: '127.0.0.1',
      loopbackOnly: true,
    });
    expect(checkBind('127.0.0.9').loopbackOnly).toBe(true);
  });

  test.runIf(outside !== undefined)(
    'any other address lets other machines in: no demo password there',
    () => {
      expect(checkBind(outside!)).toEqual({ address: outside, reachedBy: outside, loopbackOnly: false });
      expect(checkBind('0.0.0.0')).toMatchObject({ address: '0.0.0.0', loopbackOnly: false });
      expect(checkBind('0.0.0.0').reachedBy).not.toMatch(/^127\.|^0\./);
    },
  );

  test('what is no address of this machine is refused', () => {
    expect(() => checkBind('198.51.100.7')).toThrow('--bind 198.51.100.7 is not an address of this machine');
    expect(() => checkBind('localhost')).toThrow('--bind localhost is no IP address');
  });
});

describe('the data directory', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'twinline-data-'));
  });
  afterAll(() => rm(dir, { recursive: true }));

  test('is made, closed to others', async () => {
    await checkDataDirectory(join(dir, 'a', 'b'));
    expect((await stat(join(dir, 'a', 'b'))).mode & 0o777).toBe(0o700);
    await checkDataDirectory(join(dir, 'a', 'b'));
  });

  test('that is a file, or cannot be made, is named', async () => {
    await writeFile(join(dir, 'file'), '');
    await expect(checkDataDirectory(join(dir, 'file'))).rejects.toThrow('file is not a directory');
    await expect(checkDataDirectory(join(dir, 'file', 'below'))).rejects.toThrow('a file is in the way');
    await expect(checkDataDirectory('/proc/twinline')).rejects.toThrow('it cannot be made there');
  });
});
