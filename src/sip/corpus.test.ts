import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  authorizationsOf,
  contactsOf,
  cseqOf,
  fromOf,
  hasOption,
  header,
  headerValues,
  nameAddrsOf,
  numberOf,
  parseMessage,
  parseUri,
  peek,
  type SipMessage,
  type SipRequest,
  type SipResponse,
  serialize,
  tagOf,
  toBytes,
  toOf,
  topVia,
  toUtf8,
  validateRequest,
  validateResponse,
  viasOf,
} from './index.ts';

const CORPUS = process.env['TWINLINE_CORPUS'] ?? join(import.meta.dirname, '../../../shared/corpus');

/** What becomes of a message: `sound`, the status that refuses it, or `silence`. */
type Outcome = 'sound' | 'silence' | number;

interface Case {
  readonly outcome: Outcome;
  readonly why: string;
  readonly check?: (message: SipMessage) => void;
}

const sound = (why: string, check?: (message: SipMessage) => void): Case => ({
  outcome: 'sound',
  why,
  ...(check && { check }),
});
const refused = (status: number, why: string): Case => ({ outcome: status, why });
const silent = (why: string): Case => ({ outcome: 'silence', why });

const request = (message: SipMessage): SipRequest => message as SipRequest;

/** RFC 4475: section, and what its text asks of an element that is not its final server. */
const RFC4475: Readonly<Record<string, Case>> = {
  wsinv: sound('3.1.1.1 white space, folding and compact forms everywhere', (m) => {
    expect(request(m).uri).toBe('sip:vivekg@chair-dnrc.example.com;unknownparam');
    expect(tagOf(toOf(m))).toBe('1918181833n');
    expect(fromOf(m)).toMatchObject({ displayName: 'J Rosenberg \\"', uri: 'sip:jdrosen@example.com' });
    expect(tagOf(fromOf(m))).toBe('98asjd8');
    expect(numberOf(m, 'Max-Forwards')).toBe(68);
    expect(cseqOf(m)).toEqual({ seq: 9, method: 'INVITE' });
    expect(viasOf(m)!.map(({ transport, host }) => `${transport} ${host}`)).toEqual([
      'UDP 192.0.2.2',
      'TCP spindle.example.com',
      'UDP 192.168.255.111',
    ]);
    expect(viasOf(m)![2]!.params['branch']).toBe('z9hG4bK30239');
    expect(header(m, 'Subject')).toBe('');
    expect(header(m, 'NewFangledHeader')).toBe('newfangled value continued newfangled value');
    expect(header(m, 'UnknownHeaderWithUnusualValue')).toBe(';;,,;;,;');
    expect(nameAddrsOf(m, 'Route')![0]!.uri).toBe(
      'sip:services.example.com;lr;unknownwith=value;unknown-no-value',
    );
    expect(contactsOf(m)[0]).toMatchObject({ displayName: 'Quoted string ""' });
    expect({ ...contactsOf(m)[0]!.params }).toEqual({ newparam: 'newvalue', secondparam: true, q: '0.33' });
  }),
  intmeth: sound('3.1.1.2 every character that the grammar allows', (m) => {
    expect(request(m).method).toBe("!interesting-Method0123456789_*+`.%indeed'~");
    expect(parseUri(request(m).uri)).toMatchObject({
      user: "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*",
      password: "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)",
      host: 'example.com',
    });
    expect(toOf(m)!.displayName).toBe('BEL:\x07 NUL:\x00 DEL:\x7f');
    expect(fromOf(m)!.displayName).toBe("token1~` token2'+_ token3*%!.-");
    expect(tagOf(fromOf(m))).toBe("_token~1'+`*%!-.");
    expect(toUtf8(String(fromOf(m)!.params["fromparam''~+*_!.-%"]))).toBe('работающий');
  }),
  esc01: sound('3.1.1.3 escapes are kept where they mean something', (m) => {
    expect(parseUri(request(m).uri)).toMatchObject({
      user: 'sips%3Auser%40example.com',
      host: 'example.net',
    });
    expect(parseUri(toOf(m)!.uri)).toMatchObject({ user: '%75se%72' });
    expect(header(m, 'Content-Type')).toBe('application/sdp');
  }),
  escnull: sound('3.1.1.4 an escaped NUL is a character like others', (m) => {
    expect(contactsOf(m).map(({ uri }) => uri)).toEqual([
      'sip:%00@host5.example.com',
      'sip:%00%00@host5.example.com',
    ]);
  }),
  esc02: sound('3.1.1.5 a percent sign in a method or header name is no escape', (m) => {
    expect(request(m).method).toBe('RE%47IST%45R');
    expect(toOf(m)!.displayName).toBe('%Z%45');
    expect(contactsOf(m)).toHaveLength(2);
    expect(topVia(m)!.params['branch']).toBe('z9hG4bK209%fzsnel234');
  }),
  lwsdisp: sound('3.1.1.6 no space between display name and <', (m) => {
    expect(fromOf(m)).toMatchObject({ displayName: 'caller', uri: 'sip:caller@example.com' });
  }),
  longreq: sound('3.1.1.7 long values', (m) => {
    expect(viasOf(m)!.length).toBeGreaterThan(30);
    expect(header(m, 'Call-ID')!.length).toBeGreaterThan(100);
    expect(toOf(m)!.displayName!.length).toBeGreaterThan(100);
    expect(m.body).toContain('v=0');
  }),
  dblreq: sound('3.1.1.8 bytes beyond Content-Length are dropped', (m) => {
    expect(request(m).method).toBe('REGISTER');
    expect(m.body).toBe('');
  }),
  semiuri: sound('3.1.1.9 a semicolon in the user', (m) => {
    expect(parseUri(request(m).uri)).toMatchObject({ user: 'user;par=u%40example.net', host: 'example.com' });
    expect(headerValues(m, 'Accept')).toHaveLength(6);
  }),
  transports: sound('3.1.1.10 transports that we do not know', (m) => {
    expect(viasOf(m)!.map(({ transport }) => transport)).toEqual(['UDP', 'SCTP', 'TLS', 'UNKNOWN', 'TCP']);
  }),
  mpart01: sound('3.1.1.11 a binary body', (m) => {
    expect(m.body.length).toBe(numberOf(m, 'Content-Length'));
    expect(toBytes(m.body).includes(Buffer.from([0x30, 0x82]))).toBe(true);
  }),
  unreason: sound('3.1.1.12 a reason phrase in UTF-8', (m) => {
    expect(toUtf8((m as SipResponse).reason)).toBe('= 2**3 * 5**2 но сто девяносто девять - простое');
  }),
  noreason: sound('3.1.1.13 an empty reason phrase', (m) => {
    expect(m).toMatchObject({ status: 100, reason: '' });
  }),
  badinv01: refused(400, '3.1.2.1 separators without anything between them'),
  clerr: refused(400, '3.1.2.2 less body than Content-Length says'),
  ncl: refused(400, '3.1.2.3 a negative Content-Length'),
  scalar02: refused(400, '3.1.2.4 numbers that are too large in a request'),
  scalarlg: silent('3.1.2.5 numbers that are too large in a response'),
  quotbal: refused(400, '3.1.2.6 a quote that never ends'),
  ltgtruri: refused(400, '3.1.2.7 a Request-URI in angle brackets'),
  lwsruri: refused(400, '3.1.2.8 white space in the Request-URI'),
  lwsstart: refused(400, '3.1.2.9 several spaces in the request line'),
  trws: refused(400, '3.1.2.10 spaces at the end of the request line'),
  escruri: refused(400, '3.1.2.11 headers in the Request-URI'),
  baddate: sound('3.1.2.12 a time zone in Date: may be ignored by who does not use it', (m) => {
    expect(header(m, 'Date')).toBe('Fri, 01 Jan 2010 16:00:00 EST');
  }),
  regbadct: refused(400, '3.1.2.13 a Contact with ? outside of angle brackets'),
  badaspec: refused(400, '3.1.2.14 white space in an addr-spec'),
  baddn: refused(400, '3.1.2.15 a comma in a display name that is not quoted'),
  badvers: refused(505, '3.1.2.16 another version of SIP'),
  mismatch01: refused(400, '3.1.2.17 another method in CSeq'),
  mismatch02: refused(400, '3.1.2.18 the same with a method that nobody knows'),
  bigcode: silent('3.1.2.19 a status of ten digits'),
  badbranch: refused(400, '3.2.1 nothing behind the magic cookie'),
  insuf: refused(400, '3.3.1 no From, To, Call-ID'),
  unkscm: refused(416, '3.3.2 a Request-URI with a scheme that nobody knows'),
  novelsc: refused(416, '3.3.3 a Request-URI with a known scheme that is not ours'),
  unksm2: sound('3.3.4 such schemes elsewhere are the registrar’s to judge', (m) => {
    expect([toOf(m)!.uri, fromOf(m)!.uri, contactsOf(m)[0]!.uri]).toEqual([
      'isbn:2983792873',
      'http://www.example.com',
      'name:John_Smith',
    ]);
  }),
  bext01: sound('3.3.5 420 is for who serves it', (m) => {
    expect(headerValues(m, 'Require')).toEqual(['nothingSupportsThis', 'nothingSupportsThisEither']);
    expect(hasOption(m, 'Proxy-Require', 'norDoAnyProxiesSupportThis')).toBe(true);
  }),
  invut: sound('3.3.6 415 is for who serves it', (m) => {
    expect(header(m, 'Content-Type')).toBe('application/unknownformat');
  }),
  regaut01: sound('3.3.7 credentials of an unknown scheme are none', (m) => {
    expect(header(m, 'Authorization')).toBeDefined();
    expect(authorizationsOf(m, 'Authorization')).toEqual([]);
  }),
  multi01: refused(400, '3.3.8 several values where one must be'),
  mcl01: refused(400, '3.3.9 several Content-Lengths'),
  bcast: sound('3.3.10 a Via that is not ours: the transaction layer drops it', (m) => {
    expect(viasOf(m)![1]!.host).toBe('255.255.255.255');
  }),
  zeromf: sound('3.3.11 Max-Forwards 0 may be served, not forwarded', (m) => {
    expect(numberOf(m, 'Max-Forwards')).toBe(0);
  }),
  cparam01: sound('3.3.12 an unknown Contact parameter', (m) => {
    expect(contactsOf(m)[0]).toMatchObject({ uri: 'sip:+19725552222@gw1.example.net' });
    expect(contactsOf(m)[0]!.params['unknownparam']).toBe(true);
  }),
  cparam02: sound('3.3.13 an unknown parameter of the URI in Contact', (m) => {
    expect(contactsOf(m)[0]!.uri).toBe('sip:+19725552222@gw1.example.net;unknownparam');
    expect({ ...contactsOf(m)[0]!.params }).toEqual({});
  }),
  regescrt: sound('3.3.14 headers in a Contact’s URI', (m) => {
    expect(parseUri(contactsOf(m)[0]!.uri)).toMatchObject({ headers: 'Route=%3Csip:sip.example.com%3E' });
  }),
  sdp01: sound('3.3.15 406 is for who serves it', (m) => {
    expect(headerValues(m, 'Accept')).toEqual(['text/nobodyKnowsThis']);
  }),
  inv2543: sound('3.4.1 RFC 2543: no branch, no From tag, no Max-Forwards, no Content-Length', (m) => {
    expect(topVia(m)!.params['branch']).toBeUndefined();
    expect(tagOf(fromOf(m))).toBeUndefined();
    expect(m.body).toContain('m=audio 49217');
  }),
};

const RFC5118: Readonly<Record<string, Case>> = {
  'ipv6-good': sound('4.1 IPv6 references', (m) => {
    expect(parseUri(request(m).uri)).toMatchObject({ host: '[2001:db8::10]' });
    expect(topVia(m)).toMatchObject({ host: '[2001:db8::9:1]' });
    expect(contactsOf(m)[0]!.uri).toBe('sip:caller@[2001:db8::1]');
  }),
  'ipv6-bad': refused(400, '4.2 an IPv6 address without brackets'),
  'port-ambiguous': sound('4.3 what looks like a port is part of the address', (m) => {
    const uri = parseUri(request(m).uri);
    expect(uri).toMatchObject({ host: '[2001:db8::10:5070]' });
    expect(uri).not.toHaveProperty('port');
  }),
  'port-unambiguous': sound('4.4 a port behind the brackets', (m) => {
    expect(parseUri(request(m).uri)).toMatchObject({ host: '[2001:db8::10]', port: 5070 });
  }),
  'via-received-param-with-delim': sound('4.5 received with brackets', (m) => {
    expect(topVia(m)!.params['received']).toBe('[2001:db8::9:255]');
  }),
  'via-received-param-no-delim': sound('4.5 received without brackets', (m) => {
    expect(topVia(m)!.params['received']).toBe('2001:db8::9:255');
  }),
  'ipv6-in-sdp': sound('4.6 IPv6 in the body', (m) => {
    expect(m.body).toContain('c=IN IP6 2001:db8::20');
  }),
  'mult-ip-in-header': sound('4.7 IPv4 and IPv6 side by side', (m) => {
    expect(viasOf(m)!.map(({ host }) => host)).toEqual(['[2001:db8::9:1]', '192.0.2.1', '[2001:db8::9:255]']);
    expect(topVia(m)!.port).toBe(6050);
  }),
  'mult-ip-in-sdp': sound('4.8 IPv4 and IPv6 in one body', (m) => {
    expect(m.body).toContain('c=IN IP4');
    expect(m.body).toContain('c=IN IP6');
  }),
  'ipv4-mapped-ipv6': sound('4.9 IPv4-mapped addresses', (m) => {
    expect(topVia(m)).toMatchObject({ host: '[::ffff:192.0.2.10]', port: 19823 });
  }),
  'ipv6-bug-abnf-3-colons': sound('4.10 what the grammar of RFC 3261 made some write', (m) => {
    expect(parseUri(request(m).uri)).toMatchObject({ host: '[2001:db8:::192.0.2.1]' });
  }),
  'ipv6-correct-abnf-2-colons': sound('4.10 and what is right', (m) => {
    expect(parseUri(request(m).uri)).toMatchObject({ host: '[2001:db8::192.0.2.1]' });
  }),
};

function read(bytes: Uint8Array): { outcome: Outcome; message?: SipMessage } {
  const parsed = parseMessage(bytes);
  if (!parsed.ok) return { outcome: parsed.status ?? 'silence' };
  const { message } = parsed;
  const problem = message.kind === 'request' ? validateRequest(message) : validateResponse(message);
  return problem === undefined ? { outcome: 'sound', message } : { outcome: problem.status ?? 'silence' };
}

for (const [folder, suffix, cases] of [
  ['rfc4475', '.dat', RFC4475],
  ['rfc5118', '', RFC5118],
] as const) {
  const path = join(CORPUS, folder);
  describe.skipIf(!existsSync(path))(`the messages of ${folder.toUpperCase()}`, () => {
    it('are all in the table', () => {
      expect(Object.keys(cases).sort()).toEqual(
        readdirSync(path)
          .map((name) => name.replace(suffix, ''))
          .sort(),
      );
    });

    for (const [name, { outcome, why, check }] of Object.entries(cases)) {
      it(`${name}: ${why} → ${outcome}`, () => {
        const bytes = readFileSync(join(path, name + suffix));
        const got = read(bytes);
        expect(got.outcome).toBe(outcome);
        if (got.message === undefined) return;
        check?.(got.message);
        const again = parseMessage(toBytes(serialize(got.message)));
        expect(again.ok && again.message.body).toBe(got.message.body);
        expect(again.ok && cseqOf(again.message)).toEqual(cseqOf(got.message));
        const peeked = peek(bytes)!;
        expect(peeked.callId).toBe(header(got.message, 'Call-ID'));
        expect(peeked.fromTag).toBe(tagOf(fromOf(got.message)));
        expect(peeked.toTag).toBe(tagOf(toOf(got.message)));
        expect(peeked.branch).toBe(topVia(got.message)?.params['branch']);
      });
    }
  });
}

describe.skipIf(!existsSync(CORPUS))('baddn with the empty line that its file lacks', () => {
  it('is refused for its display name', () => {
    const bytes = readFileSync(join(CORPUS, 'rfc4475/baddn.dat'));
    const parsed = parseMessage(Buffer.concat([bytes, Buffer.from('\r\n')]));
    expect(parsed.ok && validateRequest(request(parsed.message))).toMatchObject({
      status: 400,
      reason: 'malformed From',
    });
  });
});
