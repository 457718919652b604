import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import {
  answerChallenge,
  authorizationsOf,
  callIdOf,
  contactsOf,
  createResponse,
  cseqOf,
  fromBytes,
  fromOf,
  header,
  maskMessage,
  nameAddrsOf,
  parseAuthorization,
  parseMessage,
  parseNameAddr,
  parseUri,
  parseVia,
  peek,
  type SipMessage,
  StreamFramer,
  scanTag,
  serialize,
  serializeNameAddr,
  serializeUri,
  serializeVia,
  sessionIdOf,
  splitList,
  tagOf,
  toBytes,
  toOf,
  topVia,
  uriEquals,
  validateRequest,
  validateResponse,
  viasOf,
} from '../../src/sip/index.ts';
import { type FuzzTarget, mustHold } from './target.ts';

const CORPUS = process.env['TWINLINE_CORPUS'] ?? join(import.meta.dirname, '../../../shared/corpus');

const body =
  'v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0 101\r\na=crypto:1 AEAD_AES_128_GCM inline:c2VjcmV0\r\n';

const OWN = [
  `INVITE sip:1002@demo.twinline.test SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bK1;rport;alias\r\nMax-Forwards: 70\r\nFrom: "Alice \\"A\\"" <sip:1001@demo.twinline.test>;tag=a1\r\nTo: <sip:1002@demo.twinline.test>\r\nCall-ID: one@192.0.2.1\r\nCSeq: 1 INVITE\r\nContact: <sip:1001@192.0.2.1:5061;transport=tls;ob>;+sip.instance="<urn:uuid:1>";reg-id=1\r\nSupported: outbound, 100rel, timer\r\nSession-Expires: 1800;refresher=uac\r\nSession-ID: ab30317f1a784dc48ff824d0d3715d86;remote=00000000000000000000000000000000\r\nProxy-Authorization: Digest username="1001", realm="r", nonce="n", uri="sip:1002@demo.twinline.test", response="00", qop=auth, nc=00000001, cnonce="c"\r\nContent-Type: application/sdp\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  'SIP/2.0 401 Unauthorized\r\nv: SIP/2.0/WSS x.invalid;branch=z9hG4bK2;received=2001:db8::1;rport=4000, SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bK1\r\nf: sip:a@b;tag=1\r\nt: <sip:a@b>;tag=2\r\ni: 2\r\nCSeq: 2 REGISTER\r\nWWW-Authenticate: Digest realm="r", nonce="n", algorithm=SHA-256, qop="auth,auth-int"\r\nl: 0\r\n\r\n',
  'REGISTER sips:demo SIP/2.0\r\nVia: SIP/2.0/TCP a\r\n ;branch=z9hG4bK3\r\nFrom:\t<tel:+1;phone-context=x>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 3\r\nCSeq: 3 REGISTER\r\nContact: *\r\nExpires: 0\r\nPath: <sip:p;lr>, <sip:q;lr>\r\n\r\n',
  'INFO sip:b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK4\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: 4\r\nCSeq: 4 INFO\r\nContent-Type: application/dtmf-relay\r\nContent-Length: 22\r\n\r\nSignal=5\r\nDuration=160',
].map(toBytes);

let read: readonly Uint8Array[] | undefined;

/** Our own messages, and the RFCs' where they are at hand. */
export function sipSeeds(): readonly Uint8Array[] {
  read ??= [
    ...OWN,
    ...['rfc4475', 'rfc5118']
      .map((folder) => join(CORPUS, folder))
      .filter((folder) => existsSync(folder))
      .flatMap((folder) => readdirSync(folder).map((name) => readFileSync(join(folder, name)))),
  ];
  return read;
}

/** Parsing, and everything that may be asked of what came out of it. */
export function checkMessage(input: Uint8Array): void {
  const peeked = peek(input);
  const parsed = parseMessage(input);
  if (!parsed.ok) {
    mustHold(
      (parsed.status === undefined) === (parsed.request === undefined),
      'a status comes with the request to answer',
    );
    if (parsed.request !== undefined) {
      const answer = serialize(createResponse(parsed.request, parsed.status!, { toTag: 'x' }));
      // With too many Vias the answer has too many as well.
      const isSound = parsed.status === 513 || parseMessage(toBytes(answer)).ok;
      mustHold(isSound, 'the answer to a refused request is sound syntax');
    }
    return;
  }
  const { message } = parsed;
  const size = message.headers.reduce((sum, { value }) => sum + value.length, message.body.length);
  mustHold(size <= input.length, 'a message is no larger than its bytes');

  const again = parseMessage(toBytes(serialize(message)));
  mustHold(again.ok, 'what was read can be written and read again');
  const plain = (one: SipMessage) => ({
    ...one,
    headers: one.headers.filter(({ name }) => name !== 'Content-Length'),
  });
  mustHold(
    isDeepStrictEqual(plain(again.message), plain(message)),
    'writing and reading again changes nothing',
  );

  askAll(message);
  if (message.kind === 'request') createResponse(message, 200, { toTag: 'x' });
  const problem = message.kind === 'request' ? validateRequest(message) : validateResponse(message);
  if (problem !== undefined) return;
  mustHold(
    topVia(message) !== undefined && cseqOf(message) !== undefined,
    'a sound message has what is mandatory',
  );
  mustHold(peeked !== undefined, 'what parses can be peeked at');
  const via = topVia(message)!;
  const branch = via.params['branch'];
  mustHold(peeked.kind === message.kind, 'peek: kind');
  mustHold(peeked.branch === (typeof branch === 'string' ? branch : undefined), 'peek: branch');
  mustHold(peeked.sentBy?.host === via.host && peeked.sentBy.port === via.port, 'peek: sent-by');
  mustHold(peeked.hasRport === 'rport' in via.params, 'peek: rport');
  mustHold(peeked.callId === callIdOf(message), 'peek: Call-ID');
  mustHold(peeked.fromTag === tagOf(fromOf(message)), 'peek: From tag');
  mustHold(peeked.toTag === tagOf(toOf(message)), 'peek: To tag');
  mustHold(peeked.cseq === cseqOf(message)!.seq && peeked.method === cseqOf(message)!.method, 'peek: CSeq');
  if (message.kind === 'request') mustHold(peeked.uri === message.uri, 'peek: Request-URI');
  else mustHold(peeked.status === message.status, 'peek: status');
}

function askAll(message: SipMessage): void {
  viasOf(message);
  contactsOf(message);
  sessionIdOf(message);
  for (const name of ['Route', 'Record-Route', 'Path', 'Contact']) nameAddrsOf(message, name);
  for (const name of ['Authorization', 'Proxy-Authorization'] as const) authorizationsOf(message, name);
  const challenge = header(message, 'WWW-Authenticate');
  if (challenge !== undefined) {
    answerChallenge(challenge, { user: 'u', password: 'p', method: 'REGISTER', uri: 'sip:x', cnonce: 'c' });
  }
}

/** The small parsers, each fed with the raw bytes as one value. */
export function checkFields(input: Uint8Array): void {
  const text = fromBytes(input).replace(/[\r\n]/g, '');
  const uri = parseUri(text);
  if (uri !== undefined) {
    const again = parseUri(serializeUri(uri));
    mustHold(isDeepStrictEqual(again, uri), 'a URI survives writing');
    mustHold(uriEquals(uri, again!), 'a URI equals itself');
  }
  const address = parseNameAddr(text);
  if (address !== undefined) {
    mustHold(scanTag(text) === tagOf(address), 'scanTag agrees with parseNameAddr');
    mustHold(
      isDeepStrictEqual(parseNameAddr(serializeNameAddr(address)), address),
      'a name-addr survives writing',
    );
  }
  const via = parseVia(text);
  if (via !== undefined)
    mustHold(isDeepStrictEqual(parseVia(serializeVia(via)), via), 'a Via survives writing');
  parseAuthorization(text);
  splitList(text);
}

/** A stream gives the same messages in one piece and byte by byte. */
export function checkStream(input: Uint8Array): void {
  const whole = new StreamFramer().push(input);
  const framer = new StreamFramer();
  const step = 1 + (input.length % 7);
  const pieces = [];
  for (let at = 0; at < input.length; at += step) pieces.push(...framer.push(input.subarray(at, at + step)));
  const plain = (events: typeof whole) =>
    events.map((event) => (event.type === 'message' ? fromBytes(event.bytes) : event));
  mustHold(isDeepStrictEqual(plain(whole), plain(pieces)), 'chunks change nothing');
  mustHold(framer.heldBytes <= 400_000, 'what is held is bounded');
}

export function checkMask(input: Uint8Array): void {
  const masked = maskMessage(fromBytes(input));
  mustHold(!/(?<![\w.-])inline:(?!\*\*\*)[^|;\s]/.test(masked), 'no key is left');
  mustHold(masked.length <= 4 * input.length + 64, 'masking does not inflate');
}

/** Header values of the seeds, one by one: what `checkFields` begins from. */
const fieldSeeds = (): Uint8Array[] =>
  sipSeeds()
    .flatMap((bytes) => fromBytes(bytes).split('\r\n'))
    .map((line) => toBytes(line.replace(/^[\w-]+ *: */, '')));

export const sipTargets: readonly FuzzTarget[] = [
  { name: 'sip-message', seeds: sipSeeds, run: checkMessage },
  { name: 'sip-fields', seeds: fieldSeeds, run: checkFields },
  {
    name: 'sip-stream',
    seeds: () => sipSeeds().map((bytes, i, all) => Buffer.concat([bytes, all[(i + 1) % all.length]!])),
    run: checkStream,
  },
  { name: 'sip-mask', seeds: sipSeeds, run: checkMask },
];
