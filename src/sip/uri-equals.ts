import type { Params } from './params.ts';
import type { SipUri, TelUri, Uri } from './uri.ts';

/** These count even when only one of two URIs has them (RFC 3261 §19.1.4). */
const COUNT_ALONE = ['user', 'ttl', 'method', 'maddr', 'transport'];

/** Whether two URIs mean the same (RFC 3261 §19.1.4; RFC 3966 §4 for `tel`). */
export function uriEquals(a: Uri, b: Uri): boolean {
  if (a.scheme === 'tel' || b.scheme === 'tel')
    return a.scheme === b.scheme && telEquals(a as TelUri, b as TelUri);
  return sipEquals(a, b);
}

function sipEquals(a: SipUri, b: SipUri): boolean {
  return (
    a.scheme === b.scheme &&
    plain(a.user) === plain(b.user) &&
    plain(a.password) === plain(b.password) &&
    a.host.toLowerCase() === b.host.toLowerCase() &&
    // "sip:bob@biloxi.com" and "sip:bob@biloxi.com:5060" may resolve differently, so they differ.
    a.port === b.port &&
    COUNT_ALONE.every((name) => (a.params[name] !== undefined) === (b.params[name] !== undefined)) &&
    Object.keys(a.params).every(
      (name) => b.params[name] === undefined || sameValue(a.params, b.params, name),
    ) &&
    sortedHeaders(a.headers) === sortedHeaders(b.headers)
  );
}

function telEquals(a: TelUri, b: TelUri): boolean {
  const names = Object.keys(a.params);
  return (
    digits(a.number) === digits(b.number) &&
    names.length === Object.keys(b.params).length &&
    names.every((name) => b.params[name] !== undefined && sameValue(a.params, b.params, name))
  );
}

const digits = (number: string): string => number.replace(/[-.()]/g, '').toLowerCase();

const sameValue = (a: Params, b: Params, name: string): boolean =>
  plain(String(a[name])).toLowerCase() === plain(String(b[name])).toLowerCase();

function sortedHeaders(headers: string | undefined): string {
  const pairs = (headers ?? '').split('&').filter((pair) => pair !== '');
  return pairs
    .map((pair) => {
      const sign = pair.indexOf('=');
      return sign === -1
        ? plain(pair).toLowerCase()
        : `${plain(pair.slice(0, sign)).toLowerCase()}=${plain(pair.slice(sign + 1))}`;
    })
    .sort()
    .join('&');
}

/** Escapes of characters that need none undone, the rest in capitals: "%61lice" is "alice", "%2f" is "%2F". */
function plain(text: string | undefined): string {
  // A character that cannot occur keeps "no user" apart from an empty one.
  if (text === undefined) return '\0';
  return text.replace(/%([0-9a-fA-F]{2})/g, (escaped, hex: string) => {
    const character = String.fromCharCode(Number.parseInt(hex, 16));
    return /[A-Za-z0-9_.!~*'()-]/.test(character) ? character : escaped.toUpperCase();
  });
}
