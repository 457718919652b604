import { describe, expect, it } from 'vitest';
import { peek, toBytes } from './index.ts';

const look = (...lines: readonly string[]) =>
  peek(toBytes(`${lines.join('\r\n')}\r\n\r\nCall-ID: in the body`));

describe('peek', () => {
  it('sees what the edge needs of a request', () => {
    expect(
      look(
        'INVITE sip:1002:pw@demo.twinline.test;user=phone SIP/2.0',
        'Via: SIP/2.0/TCP [2001:db8::1]:5070;branch=z9hG4bKabc;rport, SIP/2.0/UDP b;branch=z9hG4bKdef',
        'Via: SIP/2.0/UDP c;branch=z9hG4bKghi',
        'From: "x;tag=no" <sip:1001@demo;tag=no>;tag=yes',
        'To: <sip:1002@demo>',
        'Call-ID: one',
        'CSeq: 7 INVITE',
        'Proxy-Authorization: Digest x=y',
        'Content-Type: application/sdp',
        'Max-Forwards: 69',
        'Content-Length: 20',
      ),
    ).toEqual({
      kind: 'request',
      method: 'INVITE',
      status: undefined,
      uri: 'sip:1002:pw@demo.twinline.test;user=phone',
      uriUser: '1002',
      branch: 'z9hG4bKabc',
      sentBy: { host: '[2001:db8::1]', port: 5070 },
      hasRport: true,
      callId: 'one',
      fromTag: 'yes',
      toTag: undefined,
      cseq: 7,
      hasAuthorization: true,
      contentLength: 20,
      maxForwards: 69,
    });
  });

  it('sees the status and the CSeq method of a response', () => {
    expect(look('SIP/2.0 200 OK', 'CSeq: 7 BYE', 't: sip:a@b;tag=2')).toMatchObject({
      kind: 'response',
      status: 200,
      method: 'BYE',
      toTag: '2',
      callId: undefined,
    });
  });

  it('reads compact, folded and oddly spaced headers as the parser does', () => {
    expect(
      look(
        '\r\nBYE sip:a SIP/2.0',
        'v :',
        ' SIP / 2.0 / UDP  a : 5 ; branch = "x" ; RPORT',
        'F: sip:a@b ; TAG = "1"',
        'I:',
        '\tone',
        'cseq: 1',
        ' BYE',
        'L: 3',
      ),
    ).toMatchObject({
      branch: 'x',
      sentBy: { host: 'a', port: 5 },
      hasRport: true,
      fromTag: '1',
      callId: 'one',
      cseq: 1,
      contentLength: 3,
    });
  });

  it('takes the first of what stands twice', () => {
    expect(
      look(
        'BYE sip:a SIP/2.0',
        'Call-ID: 1',
        'Call-ID: 2',
        'From: <sip:a>',
        'From: <sip:a>;tag=2',
        'Via: x',
        'Via: SIP/2.0/UDP a;branch=b',
      ),
    ).toMatchObject({ callId: '1', fromTag: undefined, branch: undefined });
  });

  it.each([
    '',
    '\r\n\r\n',
    'GET / HTTP/1.1',
    'SIP/2.0 4294967301 x',
    'SIP/2.0 20 x',
    'SIP/2.0 999 x',
    '\x16\x03\x01',
    'INVITE',
  ])('sees no SIP in %j', (line) => expect(look(line)).toBeUndefined());

  it('does not lose its way in 64 KiB of one line', () => {
    expect(look(`INVITE sip:${'a'.repeat(100_000)} SIP/2.0`, 'Call-ID: 1')).toBeUndefined();
  });
});
