import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkFields, checkMask, checkMessage, checkStream, sipSeeds } from '../../test/fuzz/sip.ts';
import {
  createRequest,
  maskMessage,
  parseMessage,
  peek,
  type SipMessage,
  StreamFramer,
  serialize,
  toBytes,
} from './index.ts';

const TOKEN = "abcXYZ019-.!%*_+`'~";
const token = fc.string({ unit: fc.constantFrom(...TOKEN), minLength: 1, maxLength: 20 });
/** A header's value: any byte but line breaks, without white space at its ends. */
const value = fc
  .string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 60 })
  .map((text) => text.replace(/[\r\n]/g, '').replace(/^[ \t]+|[ \t]+$/g, ''));
const bytes = fc.uint8Array({ maxLength: 300 });
const body = bytes.map((raw) => Buffer.from(raw).toString('latin1'));
const headers = fc
  .array(fc.tuple(fc.oneof(token, fc.constantFrom('Via', 'f', 'TO', 'call-id', 'CSeq')), value), {
    maxLength: 12,
  })
  .map((list) => list.filter(([name]) => !/^(l|content-length)$/i.test(name)));

const message: fc.Arbitrary<SipMessage> = fc.oneof(
  fc.tuple(token, fc.webUrl(), headers, body).map(([method, uri, list, text]) => ({
    ...createRequest({ method, uri: uri.replace(/[<>"\s]/g, ''), body: text }),
    headers: list.map(([name, one]) => createRequest({ method, uri, headers: { [name]: one } }).headers[0]!),
  })),
  fc.tuple(fc.integer({ min: 100, max: 699 }), value, headers, body).map(([status, reason, list, text]) => ({
    kind: 'response' as const,
    status,
    reason,
    headers: list.map(
      ([name, one]) => createRequest({ method: 'A', uri: 'a', headers: { [name]: one } }).headers[0]!,
    ),
    body: text,
  })),
);

/** A sound message with a few bytes changed, removed or put in. */
const damaged = fc
  .tuple(
    fc.constantFrom(...sipSeeds()),
    fc.array(fc.tuple(fc.nat({ max: 1500 }), fc.nat({ max: 20 }), fc.uint8Array({ maxLength: 8 })), {
      maxLength: 5,
    }),
  )
  .map(([seed, edits]) =>
    edits.reduce<Uint8Array>(
      (all, [at, removed, put]) => Buffer.concat([all.subarray(0, at), put, all.subarray(at + removed)]),
      seed,
    ),
  );

const holds = (check: (input: Uint8Array) => void, inputs: fc.Arbitrary<Uint8Array>, numRuns = 300): void =>
  fc.assert(fc.property(inputs, check), { numRuns });

describe('SIP messages, whatever they are', () => {
  it('come out of serialize and parseMessage as they went in', () => {
    fc.assert(
      fc.property(message, (original) => {
        const parsed = parseMessage(toBytes(serialize(original)));
        if (!parsed.ok) throw new Error(parsed.reason);
        const { name, value: length } = parsed.message.headers.at(-1)!;
        expect([name, length]).toEqual(['Content-Length', String(original.body.length)]);
        expect({ ...parsed.message, headers: parsed.message.headers.slice(0, -1) }).toEqual(original);
      }),
      { numRuns: 500 },
    );
  });

  it('never make the parser throw or disagree with peek', () => {
    holds(checkMessage, bytes);
    holds(checkMessage, damaged, 600);
  });

  it('never make the small parsers throw; what they read survives writing', () => {
    holds(checkFields, bytes);
    holds(checkFields, value.map(toBytes));
    holds(checkFields, damaged);
  });

  it('come out of a stream the same, however it is chopped', () => {
    holds(checkStream, bytes);
    holds(checkStream, damaged, 500);
  });

  it('lose every key when they are masked', () => {
    holds(checkMask, bytes);
    holds(checkMask, damaged, 500);
  });
});

describe('time', () => {
  const cpuMs = (run: () => void): number => {
    const began = process.cpuUsage();
    run();
    const used = process.cpuUsage(began);
    return (used.user + used.system) / 1000;
  };
  const start = 'OPTIONS sip:b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n';

  it.each([
    ['spaces', `${start}A: x`, ' '],
    ['tabs before the colon', `${start}A`, '\t'],
    ['folded lines', `${start}A: x`, '\r\n '],
    ['quotes', `${start}From: `, '"'],
    ['backslashes in quotes', `${start}From: "`, '\\'],
    ['angle brackets', `${start}To: `, '<'],
    ['parameters', `${start}To: <sip:a@b>`, ';a=b'],
    ['commas', `${start}Via: a`, ','],
    ['Vias', start, 'Via: SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/UDP b\r\n'],
    ['a URI', 'OPTIONS sip:', '%41'],
    ['a start line', '', 'A '],
    ['a first line of versions', 'A ', ' SIP/'],
    ['credentials', `${start}Authorization: Digest `, 'a=b,'],
    ['line feeds', start, '\n'],
    ['keep-alives', '', '\r\n'],
  ])('is linear in %s', (_, head, piece) => {
    const limits = { maxHeaderBytes: 1 << 24, maxHeaders: 1 << 20, maxUriBytes: 1 << 24 };
    const input = (length: number) => toBytes(`${head}${piece.repeat(length / piece.length)}\r\n\r\n`);
    const work = (raw: Uint8Array) => (): void => {
      checkMessage(raw);
      checkFields(raw);
      parseMessage(raw, limits);
      peek(raw);
      new StreamFramer(limits).push(raw);
      maskMessage(Buffer.from(raw).toString('latin1'));
    };
    const small = input(8_000);
    const large = input(64_000);
    work(small)();
    // Eight times the bytes may take up to thirty times as long before a quadratic step (64 times) is suspected; the fastest of three counts.
    const least = (raw: Uint8Array): number => Math.min(...[1, 2, 3].map(() => cpuMs(work(raw))));
    expect(least(large)).toBeLessThan(30 * Math.max(1, least(small)));
  });
});
