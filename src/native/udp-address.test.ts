import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatAddress, parseAddress } from './index.ts';

describe('UDP addresses', () => {
  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['255.254.253.252', '255.254.253.252'],
    ['::1', '::1'],
    ['::', '::'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:DB8::10.1.2.3', '2001:db8::a01:203'],
    ['fe80::1%3', 'fe80::1%3'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
  ])('%s is %s', (text, formatted) => {
    expect(formatAddress(parseAddress(text, 5004)!)).toBe(formatted);
  });

  test.each(['', 'localhost', '1.2.3', '1.2.3.4.5', '::g', 'fe80::1%eth0', '1.2.3.4%1', '[::1]'])(
    '%j is none',
    (text) => {
      expect(parseAddress(text, 5004)).toBeUndefined();
    },
  );

  test.each([-1, 65_536, 1.5, Number.NaN])('port %d is none', (port) => {
    expect(parseAddress('127.0.0.1', port)).toBeUndefined();
  });

  test('what is formatted is read back equal', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat(65_535), (text, port) => {
        const address = parseAddress(text, port)!;
        const again = parseAddress(formatAddress(address), port)!;
        expect(again.equals(address)).toBe(true);
        expect(again.clone().equals(address)).toBe(true);
      }),
    );
  });

  test.each([
    ['0.0.0.0', true],
    ['0.1.2.3', true],
    ['224.0.0.1', true],
    ['239.255.255.255', true],
    ['255.255.255.255', true],
    ['223.255.255.255', false],
    ['10.0.0.1', false],
    ['::', true],
    ['ff02::1', true],
    ['::1', false],
    ['::ffff:224.0.0.1', true],
    ['::ffff:10.0.0.1', false],
  ])('media may not go to %s: %s (PH-EDGE-08)', (text, unsendable) => {
    expect(parseAddress(text, 5004)!.unsendable).toBe(unsendable);
  });
});
