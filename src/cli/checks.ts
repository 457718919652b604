import { createSocket } from 'node:dgram';
import { existsSync } from 'node:fs';
import { access, constants, mkdir, stat } from 'node:fs/promises';
import { createServer, isIP, isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { dirname } from 'node:path';
import { TwinlineError } from '../base/index.ts';
import type { PlannedListener } from './plan.ts';

/** What is looked at before anything is started: each problem is one sentence that says what to do. */

/** The address to listen on and what it is known by; every address (`0.0.0.0`, `::`) is known by the machine's first one. */
export function checkBind(address: string): { address: string; reachedBy: string; loopbackOnly: boolean } {
  if (!isIP(address))
    throw new TwinlineError('bad_bind', `--bind ${address} is no IP address: give one of this machine's`);
  const family = isIPv6(address) ? 'IPv6' : 'IPv4';
  const own = Object.values(networkInterfaces())
    .flatMap((one) => one ?? [])
    .filter((one) => one.family === family);
  if (address === '0.0.0.0' || address === '::') {
    const outside = own.find((one) => !one.internal && !one.address.startsWith('fe80:'));
    if (!outside)
      throw new TwinlineError(
        'bad_bind',
        `--bind ${address} needs a network: this machine has no ${family} address but loopback`,
      );
    return { address, reachedBy: outside.address, loopbackOnly: false };
  }
  const isLoopback = address === '::1' || address.startsWith('127.');
  if (!isLoopback && !own.some((one) => one.address === address)) {
    const known = own.map((one) => one.address).join(', ');
    throw new TwinlineError(
      'bad_bind',
      `--bind ${address} is not an address of this machine, which has ${known}`,
    );
  }
  return { address, reachedBy: address, loopbackOnly: isLoopback };
}

/** Makes the data directory, closed to other users. */
export async function checkDataDirectory(data: string): Promise<void> {
  try {
    await makeDirectory(data);
    const found = await stat(data);
    if (!found.isDirectory())
      throw new TwinlineError('bad_data', `the data directory ${data} is not a directory`);
    await access(data, constants.R_OK | constants.W_OK | constants.X_OK);
    const us = process.getuid?.();
    if (us !== undefined && found.uid !== us && us !== 0)
      throw new TwinlineError(
        'bad_data',
        `the data directory ${data} belongs to another user (uid ${found.uid})`,
      );
  } catch (error) {
    if (error instanceof TwinlineError) throw error;
    throw new TwinlineError('bad_data', `the data directory ${data} cannot be used: ${whyNot(error)}`);
  }
}

/** Step by step: Node's own `recursive` never ends where a directory cannot be made but is said not to exist, as in /proc. */
async function makeDirectory(path: string): Promise<void> {
  const missing: string[] = [];
  let at = path;
  while (!existsSync(at) && dirname(at) !== at) {
    missing.unshift(at);
    at = dirname(at);
  }
  for (const one of missing) await mkdir(one, { mode: 0o700 });
}

/** What is to be bound, and how an operator calls it: a transport of SIP or `http`. */
export type PortToCheck = Pick<PlannedListener, 'address' | 'port'> & { readonly transport: string };

/** Binds every port once (PH-EDGE-03). */
export async function checkPorts(listeners: readonly PortToCheck[]): Promise<void> {
  const problems: string[] = [];
  for (const { transport, address, port } of listeners) {
    const kind = transport === 'udp' ? 'UDP' : 'TCP';
    const error = transport === 'udp' ? await tryUdp(address, port) : await tryTcp(address, port);
    if (error === undefined) continue;
    problems.push(
      error.code === 'EADDRINUSE'
        ? `${kind} port ${port} on ${address} (${transport}) is in use: stop what uses it, or choose another --port-base`
        : error.code === 'EACCES'
          ? `the right to use ${kind} port ${port} on ${address} is missing: ports below 1024 need root or CAP_NET_BIND_SERVICE, or choose another --port-base`
          : `${kind} port ${port} on ${address} (${transport}) cannot be used: ${error.message}`,
    );
  }
  if (problems.length > 0) throw new TwinlineError('port_in_use', problems.join('\n'));
}

function tryTcp(host: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', resolve);
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

function tryUdp(address: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    socket.once('error', (error) => {
      socket.close();
      resolve(error);
    });
    socket.bind({ address, port, exclusive: true }, () => socket.close(() => resolve(undefined)));
  });
}

function whyNot(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'EACCES' || code === 'EPERM') return 'the right to write there is missing';
  if (code === 'EEXIST' || code === 'ENOTDIR') return 'a file is in the way';
  if (code === 'ENOENT') return 'it cannot be made there';
  if (code === 'EROFS') return 'the file system is read-only';
  if (code === 'ENOSPC') return 'the disk is full';
  return message;
}
