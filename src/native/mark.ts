import { IP_TOS, IPPROTO_IP, IPPROTO_IPV6, IPV6_TCLASS, libc } from './libc.ts';

/**
 * Marks what leaves a socket with a code point (RFC 2474; 0 to 63): both families, since a socket of IPv6 may carry IPv4. Connections that a
 * listening socket accepts inherit it. A wish: a kernel that refuses it carries the packets all the same.
 */
export function markTraffic(fd: number, dscp: number): void {
  if (process.platform !== 'linux') return;
  const word = new Uint8Array(new Int32Array([dscp << 2]).buffer);
  libc().setsockopt(fd, IPPROTO_IP, IP_TOS, word, 4);
  libc().setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, word, 4);
}
