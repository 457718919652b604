import { parseAddress, type UdpAddress } from '../native/index.ts';
import { sameHost } from './address-rule.ts';
import type { MediaOptions } from './options.ts';

/** Loopback, where this process receives, and where it was told that others of ours do. */
export function ownAddresses({
  addresses,
  linkAddresses = [],
}: MediaOptions): (address: UdpAddress) => boolean {
  const ours = [addresses[4], addresses[6], ...linkAddresses].flatMap(
    (address) => (address === undefined ? undefined : parseAddress(address, 1)) ?? [],
  );
  const loopback6 = parseAddress('::1', 1)!;
  return (address) =>
    (address.family === 4 && address.words[0]! >>> 24 === 127) ||
    sameHost(address, loopback6) ||
    ours.some((each) => sameHost(each, address));
}
