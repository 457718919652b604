import { describe, expect, it } from 'vitest';
import { maskMessage } from './index.ts';

const message = (headers: readonly string[], body: string): string =>
  `${['INVITE sip:bob:hunter2@example.com SIP/2.0', 'Via: SIP/2.0/UDP a;branch=z9hG4bK1', ...headers].join('\r\n')}\r\n\r\n${body}`;

describe('maskMessage (TR-MEDIA-11)', () => {
  it('hides SRTP keys and ICE passwords, and leaves the rest of the description', () => {
    const masked = maskMessage(
      message(
        ['Content-Type: application/sdp'],
        'v=0\r\na=crypto:1 AEAD_AES_256_GCM inline:c2VjcmV0|2^20|1:4;inline:bW9yZQ== UNENCRYPTED_SRTCP\r\na=ice-pwd:topsecret\r\nk=base64:c2VjcmV0\r\na=sendrecv\r\n',
      ),
    );
    expect(masked).toContain(
      'a=crypto:1 AEAD_AES_256_GCM inline:***|2^20|1:4;inline:*** UNENCRYPTED_SRTCP\r\n',
    );
    expect(masked).not.toMatch(/c2VjcmV0|bW9yZQ|topsecret/);
    expect(masked).toContain('a=sendrecv\r\n');
  });

  it('hides digests but not who tried to log in where', () => {
    const masked = maskMessage(
      message(
        [
          'Authorization: Digest username="1001", realm="r", nonce="secretnonce",',
          ' uri="sip:r", response="secretresponse", cnonce="secretcnonce", qop=auth, nc=00000001',
          'proxy-authorization: Bearer secrettoken',
          'WWW-Authenticate: Basic realm="secretrealm"',
          'Authentication-Info: nextnonce="secretnext", rspauth="secretrsp", qop=auth',
          'Proxy-Authorization: Digest broken secretthing',
        ],
        '',
      ),
    );
    expect(masked).not.toContain('secret');
    expect(masked).toContain('username="1001", realm="r", nonce=***, uri="sip:r", response=***');
    expect(masked).toContain('Proxy-Authorization: Bearer ***');
  });

  it('hides keypad digits in every form', () => {
    expect(maskMessage(message(['c: application/dtmf-relay'], 'Signal= 5\r\nDuration=160\r\n'))).toContain(
      '\r\n\r\nSignal=***\r\nDuration=160\r\n',
    );
    expect(maskMessage(message(['Content-Type: application/dtmf'], '5'))).toMatch(/\r\n\r\n\*\*\*$/);
    expect(
      maskMessage(message(['Content-Type: multipart/mixed;boundary=x'], '--x\r\n\r\nsignal:7\r\n')),
    ).not.toContain('7\r\n');
    expect(
      maskMessage(message(['Content-Type: application/kpml-response+xml'], '<kpml-response digits="4711"/>')),
    ).toContain('digits="***"');
    expect(maskMessage(message(['To: <tel:+4930123;postd=99887>'], ''))).not.toContain('99887');
  });

  it('hides passwords in URIs, and changes nothing else', () => {
    expect(maskMessage(message([], ''))).toContain('INVITE sip:bob:***@example.com SIP/2.0\r\n');
    const plain =
      'SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP demo.twinline:5060;branch=z9hG4bK1\r\nTo: <sip:bob@b:5060>;tag=1\r\n\r\nbody\r\nx';
    expect(maskMessage(plain)).toBe(plain);
  });

  it('hides in folded lines, and in any line of many harmless ones', () => {
    const folded = message(['X-Note: see', '\tsip:bob:hunter2@example.com', 'Subject: a', ' b'], '');
    expect(maskMessage(folded)).toContain('X-Note: see sip:bob:***@example.com\r\nSubject: a b\r\n');
    const lines = Array.from({ length: 40 }, (_, at) => `X-${at}: nothing`);
    for (const [secret, header] of [
      ['s3cr3t', 'proxy-authorization: Bearer s3cr3t'],
      ['aGlkZQ==', 'X-Key: inline:aGlkZQ=='],
      ['4711', 'To: <tel:+49;postd=4711>'],
    ] as const) {
      for (const at of [0, 20, 40]) {
        const masked = maskMessage(message(lines.toSpliced(at, 0, header), 'v=0\r\n'));
        expect(masked).not.toContain(secret);
        expect(masked.split('\r\n')).toHaveLength(46);
      }
    }
    expect(maskMessage(message([], 'v=0\r\nk=clear:hunter2\r\n'))).toContain('\r\nk=***\r\n');
  });

  it('is linear in hostile lines', () => {
    const began = process.cpuUsage();
    for (const piece of [
      'sip:',
      'sip:a:',
      ';postd=',
      'digits="',
      'a=crypto:inline:',
      'Signal=\r\n',
      ' \r\n ',
    ]) {
      maskMessage(`A: ${piece.repeat(20_000)}`);
      maskMessage(message([], piece.repeat(20_000)));
    }
    const used = process.cpuUsage(began);
    expect((used.user + used.system) / 1000).toBeLessThan(3_000);
  });
});
