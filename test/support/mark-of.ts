import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { IP_TOS, IPPROTO_IP, libc } from '../../src/native/libc.ts';

/** The code point (RFC 2474) by which this process marks its connection of IPv4 from one port to another, as the kernel has it. */
export function markOf(from: number, to: number): number {
  const value = new Int32Array(1);
  const length = new Uint32Array([value.byteLength]);
  const [bytes, octets] = [new Uint8Array(value.buffer), new Uint8Array(length.buffer)];
  if (libc().getsockopt(descriptorOf(from, to), IPPROTO_IP, IP_TOS, bytes, octets) !== 0)
    throw new Error('the kernel does not say how the connection is marked');
  return value[0]! >> 2;
}

function descriptorOf(from: number, to: number): number {
  const hex = (port: number) => `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const fields = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find(([, local = '', remote = '']) => local.endsWith(hex(from)) && remote.endsWith(hex(to)));
  const wanted = `socket:[${fields?.[9]}]`;
  const found = readdirSync('/proc/self/fd').find((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === wanted;
    } catch {
      // The descriptor of the listing itself.
      return false;
    }
  });
  if (found === undefined) throw new Error(`this process has no connection from ${from} to ${to}`);
  return Number(found);
}
