import { describe, expect, it } from 'vitest';
import {
  createRequest,
  createResponse,
  header,
  type Parsed,
  type ParseLimits,
  parseMessage,
  type SipRequest,
  serialize,
  toBytes,
  validateRequest,
} from './index.ts';

const parse = (text: string, limits?: Partial<ParseLimits>): Parsed => parseMessage(toBytes(text), limits);

const OPTIONS = [
  'OPTIONS sip:bob@example.com SIP/2.0',
  'v: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1',
  'f: <sip:alice@example.com>;tag=1',
  't: <sip:bob@example.com>',
  'i: one@192.0.2.1',
  'cSEQ: 1 OPTIONS',
];
const message = (lines: readonly string[], body = ''): string => `${lines.join('\r\n')}\r\n\r\n${body}`;

function requestOf(parsed: Parsed): SipRequest {
  if (!parsed.ok) throw new Error(parsed.reason);
  if (parsed.message.kind !== 'request') throw new Error('a response');
  return parsed.message;
}

describe('parseMessage', () => {
  it('gives every header its canonical name', () => {
    const read = requestOf(parse(message([...OPTIONS, 'x-my-HEADER: 1', 'WWW-AUTHENTICATE: x', 'X: 90'])));
    expect(read.headers.map(({ name }) => name)).toEqual([
      'Via',
      'From',
      'To',
      'Call-ID',
      'CSeq',
      'X-My-Header',
      'WWW-Authenticate',
      'Session-Expires',
    ]);
  });

  it('undoes folding, with spaces and tabs', () => {
    const read = requestOf(parse(message([...OPTIONS, 'Subject:', '  a', '\tb', '   ', ' c  '])));
    expect(header(read, 'Subject')).toBe('a b c');
  });

  it('skips keep-alives before the start line, and has nothing to say to one alone', () => {
    expect(parse(`\r\n\r\n${message(OPTIONS)}`).ok).toBe(true);
    expect(parse('\r\n\r\n')).toEqual({ ok: false, reason: 'no message, only a keep-alive' });
    expect(parse('').ok).toBe(false);
  });

  it('takes as much body as Content-Length says, all of it without one', () => {
    expect(requestOf(parse(message([...OPTIONS, 'l: 3'], 'abcdef'))).body).toBe('abc');
    expect(requestOf(parse(message(OPTIONS, 'abcdef'))).body).toBe('abcdef');
    expect(parse(message([...OPTIONS, 'l: 7'], 'abcdef'))).toMatchObject({ ok: false, status: 400 });
    expect(parse(message([...OPTIONS, 'l: 3', 'Content-Length: 3'], 'abc'))).toMatchObject({ status: 400 });
  });

  it.each([
    ['a lone LF in a header', [...OPTIONS, 'Subject: a\nEvil: b']],
    ['a lone CR in a header', [...OPTIONS, 'Subject: a\rEvil: b']],
    ['a header without a colon', [...OPTIONS, 'Subject']],
    ['a header whose colon is folded', [...OPTIONS, 'Subject', ' : x']],
    ['a header without a name', [...OPTIONS, ': x']],
    ['a space in a header name', [...OPTIONS, 'Sub ject: x']],
    ['a first header that is folded', [OPTIONS[0]!, ' folded', ...OPTIONS.slice(1)]],
  ])('refuses %s with 400', (_, lines) => {
    expect(parse(message(lines))).toMatchObject({ ok: false, status: 400 });
  });

  it('refuses what is too large, and says which limit it was', () => {
    const long = 'x'.repeat(300);
    expect(parse(message([...OPTIONS, `A: ${long}`]), { maxHeaderBytes: 256 })).toMatchObject({
      status: 513,
    });
    expect(parse(message([...OPTIONS, 'A: 1', 'A: 2']), { maxHeaders: 6 })).toMatchObject({ status: 513 });
    expect(parse(message(OPTIONS, long), { maxBodyBytes: 256 })).toMatchObject({ status: 413 });
    const uri = [`OPTIONS sip:${long}@example.com SIP/2.0`, ...OPTIONS.slice(1)];
    expect(parse(message(uri), { maxUriBytes: 256 })).toMatchObject({ status: 414 });
  });

  it('gives a refused request back so that it can be answered', () => {
    const refused = parse(message([OPTIONS[0]!.replace('2.0', '3.0'), ...OPTIONS.slice(1)]));
    if (refused.ok || refused.request === undefined) throw new Error('accepted');
    const answer = serialize(createResponse(refused.request, refused.status!, { toTag: 'x' }));
    expect(answer).toContain(
      'SIP/2.0 505 Version Not Supported\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n',
    );
    expect(answer).toContain('To: <sip:bob@example.com>;tag=x\r\n');
  });

  it('copies no half of a header that was cut off', () => {
    const refused = parse(`${OPTIONS.join('\r\n')}\r\nVia: SIP/2.0/UDP 192.0.2.2;bran`);
    expect(refused).toMatchObject({ status: 400 });
    expect(!refused.ok && refused.request!.headers.filter(({ name }) => name === 'Via')).toHaveLength(1);
  });

  it('never answers an ACK, a response, or what has no Via', () => {
    const ack = message([...OPTIONS, 'l: 7']).replaceAll('OPTIONS', 'ACK');
    expect(parse(ack)).not.toHaveProperty('status');
    expect(parse('SIP/2.0 200 OK\r\nl: 7\r\n\r\n')).not.toHaveProperty('status');
    expect(parse('OPTIONS sip:a SIP/2.0\r\nl: 7\r\n\r\n')).not.toHaveProperty('status');
    expect(parse('GET / HTTP/1.1\r\nHost: x\r\n\r\n')).not.toHaveProperty('status');
  });

  it.each([
    'SIP/2.0 99 x',
    'SIP/2.0 700 x',
    'SIP/2.0 2000 x',
    'SIP/2.0200 x',
    'SIP/3.0 200 OK',
    'SIP/2.0 20x OK',
  ])('drops the status line %s', (line) => expect(parse(`${line}\r\n\r\n`)).toMatchObject({ ok: false }));
});

describe('serialize', () => {
  it('writes the right Content-Length whatever was there', () => {
    const text = serialize(
      createRequest({
        method: 'INFO',
        uri: 'sip:bob@example.com',
        headers: { Via: ['a', 'b'], 'Content-Length': '99', 'Content-Type': 'text/plain' },
        body: 'h\xe9',
      }),
    );
    expect(text).toBe(
      'INFO sip:bob@example.com SIP/2.0\r\nVia: a\r\nVia: b\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nh\xe9',
    );
  });

  it('lets no value become a header of its own', () => {
    const text = serialize(
      createRequest({ method: 'INFO', uri: 'sip:b\r\nEvil: 1', headers: { Subject: 'a\r\nEvil: 2' } }),
    );
    expect(text.split('\r\n').filter((line) => line.startsWith('Evil'))).toEqual([]);
  });
});

describe('validateRequest', () => {
  const check = (lines: readonly string[]) => validateRequest(requestOf(parse(message(lines))));

  it('accepts a sound request', () => expect(check(OPTIONS)).toBeUndefined());
  it('accepts a telephone number as Request-URI', () => {
    expect(check(['OPTIONS tel:+4930123 SIP/2.0', ...OPTIONS.slice(1)])).toBeUndefined();
  });

  it.each([
    ['Via is missing', undefined, OPTIONS.filter((line) => !line.startsWith('v:'))],
    ['Call-ID is missing', 400, OPTIONS.filter((line) => !line.startsWith('i:'))],
    ['malformed Call-ID', 400, OPTIONS.map((line) => (line.startsWith('i:') ? 'i: a b' : line))],
    ['malformed CSeq', 400, OPTIONS.map((line) => line.replace('1 OPTIONS', '2147483648 OPTIONS'))],
    ['more than one To', 400, [...OPTIONS, 'To: <sip:c@example.com>']],
    ['Max-Forwards is not a number up to 255', 400, [...OPTIONS, 'Max-Forwards: 256']],
    ['malformed Route', 400, [...OPTIONS, 'Route: <sip:a;lr>, <sip:b']],
    ['Contact * with something else than the removal of all bindings', 400, [...OPTIONS, 'Contact: *']],
  ] as const)('refuses: %s', (reason, status, lines) => {
    const refused = check(lines);
    expect(refused?.reason).toBe(reason);
    expect(refused?.status).toBe(status);
  });

  it('accepts Contact * where it removes all bindings', () => {
    const register = OPTIONS.map((line) => line.replace('OPTIONS', 'REGISTER'));
    expect(check([...register, 'Contact: *', 'Expires: 0'])).toBeUndefined();
    expect(check([...register, 'Contact: *', 'Expires: 60'])).toMatchObject({ status: 400 });
    expect(check([...register, 'Contact: *, <sip:a@b>', 'Expires: 0'])).toMatchObject({ status: 400 });
  });
});

describe('createResponse', () => {
  const invite = createRequest({
    method: 'INVITE',
    uri: 'sip:bob@example.com',
    headers: {
      Via: ['SIP/2.0/UDP a;branch=z9hG4bK2', 'SIP/2.0/UDP b;branch=z9hG4bK1'],
      From: '<sip:alice@example.com>;tag=1',
      To: '<sip:bob@example.com>',
      'Call-ID': 'one',
      CSeq: '1 INVITE',
      'Record-Route': '<sip:proxy;lr>',
      Timestamp: '54',
      Contact: '<sip:alice@a>',
    },
  });
  const names = (status: number) =>
    createResponse(invite, status, { toTag: 'x' }).headers.map(({ name, value }) =>
      name === 'To' ? `To ${value}` : name,
    );

  it('copies what the RFC says, and no more', () => {
    expect(names(100)).toEqual([
      'Via',
      'Via',
      'From',
      'To <sip:bob@example.com>',
      'Call-ID',
      'CSeq',
      'Timestamp',
    ]);
    expect(names(180)).toEqual([
      'Via',
      'Via',
      'From',
      'To <sip:bob@example.com>;tag=x',
      'Call-ID',
      'CSeq',
      'Record-Route',
    ]);
    expect(names(486)).not.toContain('Record-Route');
  });

  it('leaves a To tag that is there alone', () => {
    const inDialog = {
      ...invite,
      headers: invite.headers.map((h) => (h.name === 'To' ? { ...h, value: `${h.value};tag=old` } : h)),
    };
    expect(header(createResponse(inDialog, 200, { toTag: 'x' }), 'To')).toBe('<sip:bob@example.com>;tag=old');
  });
});
