import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { promisify } from 'node:util';
import { TwinlineError } from '../base/index.ts';
import { errnoName, libc, SOCK_CLOEXEC } from './libc.ts';
import { MessageCarrier } from './unix-message.ts';

/** An address that one of two machines has at a time. */
export interface MovingAddresses {
  /** Puts it on this machine, and tells the network that it is here. Harmless when it is here. Rejects with `address_not_moved`. */
  take(address: string): Promise<void>;
  /** It stays here a while longer: to be said every `REFRESH_MS`, else the kernel takes it away, whoever of us is dead by then. */
  keep(address: string): Promise<void>;
  /** Takes it from this machine. Harmless when it is not here. */
  leave(address: string): Promise<void>;
}

export const REFRESH_MS = 2_000;
/** In whole seconds. */
const LIFE_SEC = 6;
const RUN_WITHIN_MS = 5_000;

/** By a program of the operator's: `take` or `leave` and the address are its last words. It need not be told again and again. */
export function addressesByCommand(command: readonly string[]): MovingAddresses {
  const [file = '', ...words] = command;
  const run = (verb: string, address: string): Promise<void> => runProgram(file, [...words, verb, address]);
  return {
    take: (address) => run('take', address),
    keep: async () => {},
    leave: (address) => run('leave', address),
  };
}

/**
 * By Linux' `ip` on that interface (CAP_NET_ADMIN), with a lifetime, so that a machine whose processes are dead loses the address too. IPv4 is
 * announced by gratuitous ARP (RFC 5227 §3; CAP_NET_RAW); IPv6 is announced by the kernel.
 */
export function addressesOn(device: string): MovingAddresses {
  const put = (address: string): Promise<void> => {
    const family = isIPv4(address) ? ['-4'] : ['-6'];
    const whole = `${address}/${isIPv4(address) ? 32 : 128}`;
    const life = ['valid_lft', String(LIFE_SEC), 'preferred_lft', String(LIFE_SEC)];
    // Duplicates are looked for by the lease, not by the kernel, which would keep an IPv6 address back for a second.
    const more = isIPv4(address) ? [] : ['nodad'];
    return runProgram('ip', [...family, 'address', 'replace', whole, 'dev', device, ...life, ...more]);
  };
  return {
    async take(address) {
      await put(address);
      if (isIPv4(address)) announce(device, address);
    },
    keep: put,
    async leave(address) {
      const whole = `${address}/${isIPv4(address) ? 32 : 128}`;
      await runProgram('ip', ['address', 'del', whole, 'dev', device]).catch((error: Error) => {
        if (!/cannot assign|not found/i.test(error.message)) throw error;
      });
    },
  };
}

async function runProgram(file: string, words: readonly string[]): Promise<void> {
  try {
    await promisify(execFile)(file, [...words], { timeout: RUN_WITHIN_MS });
  } catch (cause) {
    const said = (cause as { stderr?: string }).stderr?.trim() || (cause as Error).message;
    throw new TwinlineError('address_not_moved', `${file} ${words.join(' ')}: ${said}`, { cause });
  }
}

const AF_PACKET = 17;
const SOCK_RAW = 3;
const ETH_P_ARP = 0x0806;
/** Request and reply: some listen to the one, some to the other. */
const OPERATIONS = [1, 2];

/** Whoever knows the address at another machine's card learns that it is at ours. Throws `address_not_moved`. */
function announce(device: string, address: string): void {
  const of = (what: string): string => readFileSync(`/sys/class/net/${device}/${what}`, 'latin1').trim();
  const mac = Buffer.from(of('address').replaceAll(':', ''), 'hex');
  // Loopback and tunnels have none, and nobody to tell.
  if (mac.length !== 6 || mac.every((byte) => byte === 0)) return;
  const c = libc();
  const swapped = (ETH_P_ARP >> 8) | ((ETH_P_ARP & 0xff) << 8);
  const fd = c.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, swapped);
  if (fd < 0) throw new TwinlineError('address_not_moved', `announcing ${address} failed: ${errnoName()}`);
  try {
    // sockaddr_ll: family 0, protocol 2 (network order), index of the interface 4; 20 bytes.
    const place = Buffer.alloc(20);
    place.writeUInt16LE(AF_PACKET, 0);
    place.writeUInt16BE(ETH_P_ARP, 2);
    place.writeInt32LE(Number(of('ifindex')), 4);
    if (c.bind(fd, place, place.length) < 0)
      throw new TwinlineError('address_not_moved', `announcing on ${device} failed: ${errnoName()}`);
    const carrier = new MessageCarrier();
    for (const operation of OPERATIONS) carrier.send(fd, arpAnnouncement(mac, address, operation), []);
  } finally {
    c.close(fd);
  }
}

/** The Ethernet frame. @internal for tests. */
export function arpAnnouncement(mac: Uint8Array, address: string, operation: number): Buffer {
  const ip = Buffer.from(address.split('.').map(Number));
  const frame = Buffer.alloc(42);
  frame.fill(0xff, 0, 6);
  frame.set(mac, 6);
  frame.writeUInt16BE(ETH_P_ARP, 12);
  // Ethernet, IPv4, lengths 6 and 4.
  frame.set([0, 1, 8, 0, 6, 4], 14);
  frame.writeUInt16BE(operation, 20);
  frame.set(mac, 22);
  frame.set(ip, 28);
  frame.fill(operation === 2 ? 0xff : 0, 32, 38);
  frame.set(ip, 38);
  return frame;
}
