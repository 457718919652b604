import { describe, expect, it } from 'vitest';
import {
  escapeParam,
  escapeUser,
  parseNameAddr,
  parseUri,
  parseVia,
  scanTag,
  serializeNameAddr,
  serializeUri,
  serializeVia,
  splitList,
  unescapeText,
  uriEquals,
} from './index.ts';

describe('parseUri', () => {
  it.each([
    'sip:alice@atlanta.com',
    'sip:alice:secretword@atlanta.com;transport=tcp',
    'sips:alice@atlanta.com?subject=project%20x&priority=urgent',
    'sip:+1-212-555-1212:1234@gateway.com;user=phone',
    'sips:1212@gateway.com',
    'sip:alice@192.0.2.4',
    'sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com',
    'sip:alice;day=tuesday@atlanta.com',
    'sip:[2001:db8::1]:5070;lr',
    'sip:*21#@pbx.local',
    'tel:+1-201-555-0123;phone-context=example.com',
  ])('reads and writes %s', (text) => {
    const uri = parseUri(text);
    expect(uri && serializeUri(uri)).toBe(text);
  });

  it.each([
    'sip:',
    'sip:@example.com',
    'sip:a b@example.com',
    'sip:a%4@example.com',
    'sip:a@example.com:99999',
    'sip:a@example.com:',
    'sip:a@example.com;',
    'sip:a@example.com;=x',
    'sip:a@[::1',
    'sip:a@b@c',
    'sip:2001:db8::10',
    'tel:',
    'tel:+',
    'http://example.com',
    'alice@example.com',
  ])('refuses %s', (text) => expect(parseUri(text)).toBeUndefined());

  it('keeps the parameter names of objects apart from parameters', () => {
    expect(parseUri('sip:a@b')!.params['constructor']).toBeUndefined();
    expect(Object.entries(parseUri('sip:a@b;__proto__=x')!.params)).toEqual([['__proto__', 'x']]);
  });

  it('escapes and unescapes', () => {
    expect(escapeUser('a b@c:d#')).toBe('a%20b%40c%3Ad%23');
    expect(unescapeText(escapeUser('a b@c:d#%'))).toBe('a b@c:d#%');
    expect(escapeParam('12345@atlanta;to-tag=1')).toBe('12345%40atlanta%3Bto-tag%3D1');
  });
});

describe('uriEquals: the examples of RFC 3261 §19.1.4', () => {
  const equal = (a: string, b: string): boolean => uriEquals(parseUri(a)!, parseUri(b)!);

  it.each([
    ['sip:%61lice@atlanta.com;transport=TCP', 'sip:alice@AtLanTa.CoM;Transport=tcp'],
    ['sip:carol@chicago.com', 'sip:carol@chicago.com;newparam=5'],
    ['sip:carol@chicago.com;security=on', 'sip:carol@chicago.com;newparam=5'],
    [
      'sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com',
      'sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com',
    ],
    [
      'sip:alice@atlanta.com?subject=project%20x&priority=urgent',
      'sip:alice@atlanta.com?priority=urgent&subject=project%20x',
    ],
    ['tel:+1-201-555-0123', 'tel:+12015550123'],
  ])('%s is %s', (a, b) => expect([equal(a, b), equal(b, a)]).toEqual([true, true]));

  it.each([
    ['SIP:ALICE@AtLanTa.CoM;Transport=udp', 'sip:alice@AtLanTa.CoM;Transport=UDP'],
    ['sip:bob@biloxi.com', 'sip:bob@biloxi.com:5060'],
    ['sip:bob@biloxi.com', 'sip:bob@biloxi.com;transport=udp'],
    ['sip:bob@biloxi.com', 'sip:bob@biloxi.com:6000;transport=tcp'],
    ['sip:carol@chicago.com', 'sip:carol@chicago.com?Subject=next%20meeting'],
    ['sip:bob@phone21.boxesbybob.com', 'sip:bob@192.0.2.4'],
    ['sip:carol@chicago.com;security=on', 'sip:carol@chicago.com;security=off'],
    ['sip:chicago.com', 'sip:@chicago.com'.replace('@', 'x@')],
    ['sips:bob@biloxi.com', 'sip:bob@biloxi.com'],
    ['tel:+12015550123', 'sip:+12015550123@example.com'],
  ])('%s is not %s', (a, b) => expect([equal(a, b), equal(b, a)]).toEqual([false, false]));
});

describe('parseNameAddr', () => {
  it.each([
    ['"A. G. Bell" <sip:agb@bell.com> ;tag=a48s', 'A. G. Bell', 'sip:agb@bell.com'],
    ['sip:+12125551212@server.com;tag=887s', undefined, 'sip:+12125551212@server.com'],
    ['Anonymous <sip:c8oqz@privacy.org>;tag=hyh8', 'Anonymous', 'sip:c8oqz@privacy.org'],
    ['<sip:a@b;x=1>;tag=1', undefined, 'sip:a@b;x=1'],
    ['"a \\"q\\" \\\\ <x>" <sip:a@b>', 'a "q" \\ <x>', 'sip:a@b'],
    ['  <tel:+1>  ', undefined, 'tel:+1'],
    ['Zo\xc3\xab (home) <sip:a@b>', 'Zo\xc3\xab (home)', 'sip:a@b'],
    ['*', undefined, '*'],
  ])('reads %s', (text, displayName, uri) => {
    expect(parseNameAddr(text)).toMatchObject(displayName === undefined ? { uri } : { displayName, uri });
  });

  it.each([
    '',
    '<>',
    '<sip:a@b',
    '"x <sip:a@b>',
    '"x" sip:a@b',
    'Bell, A <sip:a@b>',
    '< sip:a@b>',
    'sip:a@b?x=1',
    '<sip:a@b>;',
    '<sip:a@b>;tag=',
    '<sip:a@b>;tag="x',
    '<sip:a@b> x',
    '*;q=1',
  ])('refuses %s', (text) => expect(parseNameAddr(text)).toBeUndefined());

  it('quotes what it writes', () => {
    const text = serializeNameAddr({
      displayName: 'a "b" \\',
      uri: 'sip:a@b',
      params: { tag: '1', 'x.y': 'a b', z: true },
    });
    expect(text).toBe('"a \\"b\\" \\\\" <sip:a@b>;tag=1;x.y="a b";z');
    expect(parseNameAddr(text)).toMatchObject({ displayName: 'a "b" \\' });
  });

  it.each([
    ['"x;tag=no" <sip:a@b;tag=no>;tag=yes', 'yes'],
    ['sip:a@b;tag=yes', 'yes'],
    ['<sip:a@b>;x="tag=no;tag=no"; TAG = yes', 'yes'],
    ['<sip:a@b>', undefined],
    ['"x', undefined],
    ['<sip:a@b', undefined],
  ])('finds the tag of %s', (text, tag) => expect(scanTag(text)).toBe(tag));
});

describe('parseVia', () => {
  it('reads and writes all parts', () => {
    const text = 'SIP/2.0/UDP [2001:db8::1]:5070;branch=z9hG4bK1;rport;received=2001:db8::2';
    const via = parseVia(text)!;
    expect(via).toMatchObject({ transport: 'UDP', host: '[2001:db8::1]', port: 5070 });
    expect(via.params['rport']).toBe(true);
    expect(serializeVia(via)).toBe(text);
  });

  it.each([
    '',
    'SIP/2.0/UDP',
    'SIP/2.0/UDP ;branch=1',
    'SIP/3.0/UDP a',
    'SIP/2.0 a',
    'SIP/2.0/UDP a:x',
    'SIP/2.0/UDP a b',
    'SIP/2.0/UDP a;;x',
  ])('refuses "%s"', (text) => expect(parseVia(text)).toBeUndefined());
});

describe('splitList', () => {
  it('knows quotes and angle brackets', () => {
    expect(splitList('"a,b" <sip:a@b,c>;x="1,2" , ,<sip:d>, e')).toEqual([
      '"a,b" <sip:a@b,c>;x="1,2"',
      '<sip:d>',
      'e',
    ]);
    expect(splitList('')).toEqual([]);
    expect(splitList('"never, ends')).toEqual(['"never, ends']);
  });
});
