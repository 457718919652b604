import { describe, expect, it } from 'vitest';
import {
  appendHeader,
  contactsOf,
  contentTypeOf,
  createRequest,
  cseqOf,
  detached,
  fromUtf8,
  hasOption,
  header,
  headerValues,
  nameAddrsOf,
  numberOf,
  parseCSeq,
  parseTokenParams,
  prependHeader,
  reasonPhrase,
  serializeParams,
  tokensOf,
  toUtf8,
  withHeader,
  withoutFirstValue,
  withoutHeader,
} from './index.ts';

const message = createRequest({
  method: 'INVITE',
  uri: 'sip:bob@example.com',
  headers: {
    Via: ['SIP/2.0/UDP a;branch=z9hG4bK2, SIP/2.0/UDP b;branch=z9hG4bK1', 'SIP/2.0/UDP c'],
    Route: ['<sip:p,1;lr>, "x, y" <sip:q;lr>'],
    k: '100rel, timer,, outbound',
    subject: 'one, two',
    'Max-Forwards': '70',
    c: 'Application / SDP ;charset=utf-8',
    CSeq: '1 INVITE',
    Contact: undefined,
  },
});

describe('headers', () => {
  it('are found by any case and compact form', () => {
    expect(header(message, 'v')).toBe(header(message, 'VIA'));
    expect(header(message, 'Supported')).toBe('100rel, timer,, outbound');
    expect(header(message, 'Contact')).toBeUndefined();
  });

  it('read the same as several headers and as a list, where they are lists', () => {
    expect(headerValues(message, 'Via')).toEqual([
      'SIP/2.0/UDP a;branch=z9hG4bK2',
      'SIP/2.0/UDP b;branch=z9hG4bK1',
      'SIP/2.0/UDP c',
    ]);
    expect(headerValues(message, 'Subject')).toEqual(['one, two']);
    expect(nameAddrsOf(message, 'Route')!.map(({ uri }) => uri)).toEqual(['sip:p,1;lr', 'sip:q;lr']);
    expect(tokensOf(message, 'Supported')).toEqual(['100rel', 'timer', 'outbound']);
    expect(hasOption(message, 'Supported', 'Timer')).toBe(true);
    expect(hasOption(message, 'Require', 'timer')).toBe(false);
  });

  it('are edited without touching the message itself', () => {
    const before = structuredClone(message);
    expect(withHeader(message, 'v', 'x').headers.filter(({ name }) => name === 'Via')).toEqual([
      { name: 'Via', value: 'x' },
    ]);
    expect(withHeader(message, 'Expires', '1').headers.at(-1)).toEqual({ name: 'Expires', value: '1' });
    expect(header(withoutHeader(message, 'm-a-x'), 'Max-Forwards')).toBe('70');
    expect(header(withoutHeader(message, 'MAX-FORWARDS'), 'Max-Forwards')).toBeUndefined();
    expect(headerValues(prependHeader(message, 'Via', 'x'), 'Via')[0]).toBe('x');
    expect(headerValues(appendHeader(message, 'Via', 'x'), 'Via').at(-1)).toBe('x');
    expect(message).toEqual(before);
  });

  it('lose their first value, be it one of a list or a header of its own', () => {
    const once = withoutFirstValue(message, 'Via');
    const twice = withoutFirstValue(once, 'Via');
    const thrice = withoutFirstValue(twice, 'Via');
    expect([once, twice, thrice].map((one) => headerValues(one, 'Via').length)).toEqual([2, 1, 0]);
    expect(withoutFirstValue(thrice, 'Via')).toBe(thrice);
  });
});

describe('fields', () => {
  it('are read, or are undefined', () => {
    expect(cseqOf(message)).toEqual({ seq: 1, method: 'INVITE' });
    expect(numberOf(message, 'Max-Forwards')).toBe(70);
    expect(numberOf(message, 'Expires')).toBeUndefined();
    expect(numberOf(withHeader(message, 'Expires', '4294967296'), 'Expires')).toBeUndefined();
    expect(contentTypeOf(message)).toBe('application/sdp');
    expect(contactsOf(withHeader(message, 'Contact', '<sip:a@b>, <broken'))).toHaveLength(1);
  });

  it.each(['', '1', 'INVITE', '-1 INVITE', '1INVITE', '1 IN VITE', '2147483648 INVITE', '1 INVITE;x'])(
    'no CSeq: %s',
    (text) => expect(parseCSeq(text)).toBeUndefined(),
  );

  it('survive as parameters, quoted where needed', () => {
    const text = ';a;b=c;d="e f";g="[::1]"';
    expect(serializeParams(parseTokenParams(text)!)).toBe(';a;b=c;d="e f";g=[::1]');
    expect({ ...parseTokenParams(';A=1;a=2') }).toEqual({ a: '1' });
    expect(parseTokenParams('x')).toBeUndefined();
  });

  it('have phrases for every status', () => {
    expect([reasonPhrase(486), reasonPhrase(499), reasonPhrase(699)]).toEqual([
      'Busy Here',
      'Request Failure',
      'Global Failure',
    ]);
  });

  it('keep people’s names through byte strings', () => {
    expect(toUtf8(fromUtf8('Zoë 电话'))).toBe('Zoë 电话');
    expect(detached('a long enough text to be a slice'.slice(2, 30))).toBe('long enough text to be a sli');
  });
});
