import { describe, expect, it } from 'vitest';
import { fromBytes, type StreamEvent, StreamFramer, toBytes } from './index.ts';

const message = (id: number, body = '', extra = ''): string =>
  `OPTIONS sip:b SIP/2.0\r\nCall-ID: ${id}\r\n${extra}Content-Length: ${body.length}\r\n\r\n${body}`;

/** Events in words, for comparing: `m <text>`, `ping`, `error <status>`. */
const told = (events: readonly StreamEvent[]): string[] =>
  events.map((event) =>
    event.type === 'message'
      ? `m ${fromBytes(event.bytes)}`
      : event.type === 'error'
        ? `error ${event.status}`
        : event.type,
  );

function feed(framer: StreamFramer, text: string, chunkLength: number): StreamEvent[] {
  const bytes = toBytes(text);
  const events: StreamEvent[] = [];
  for (let at = 0; at < bytes.length; at += chunkLength)
    events.push(...framer.push(bytes.subarray(at, at + chunkLength)));
  return events;
}

describe('StreamFramer', () => {
  const stream = `${message(1, 'abc')}\r\n\r\n${message(2)}${message(3, '\r\n\r\nx', 'Subject: a\r\n b\r\n')}\r\n\r\n\r\n\r\n`;
  const expected = [
    `m ${message(1, 'abc')}`,
    'ping',
    `m ${message(2)}`,
    `m ${message(3, '\r\n\r\nx', 'Subject: a\r\n b\r\n')}`,
    'ping',
    'ping',
  ];

  it.each([1, 2, 3, 7, 64, 10_000])('cuts the same messages out of chunks of %i bytes', (length) => {
    const framer = new StreamFramer();
    expect(told(feed(framer, stream, length))).toEqual(expected);
    expect(framer.heldBytes).toBe(0);
  });

  it('gives bytes that later chunks do not change', () => {
    const framer = new StreamFramer();
    const events = feed(framer, message(1, 'first') + message(2, 'other'), 5);
    feed(framer, message(3, 'third'), 5);
    expect(told(events)).toEqual([`m ${message(1, 'first')}`, `m ${message(2, 'other')}`]);
  });

  it('reads the compact and the folded Content-Length, and none as no body', () => {
    const texts = [
      'A b SIP/2.0\r\nl : 2\r\n\r\nab',
      'A b SIP/2.0\r\nContent-Length:\r\n 2\r\n\r\nab',
      'A b SIP/2.0\r\n\r\n',
    ];
    expect(told(new StreamFramer().push(toBytes(texts.join(''))))).toEqual(texts.map((text) => `m ${text}`));
  });

  it('is no ping: a single CRLF between messages', () => {
    expect(told(new StreamFramer().push(toBytes(`\r\n${message(1)}\r\n${message(2)}\r\n`)))).toEqual([
      `m ${message(1)}`,
      `m ${message(2)}`,
    ]);
  });

  it('hears the pong of a server', () => {
    const framer = new StreamFramer({ keepAlives: 'pong' });
    expect(told(framer.push(toBytes(`\r\n${message(1)}\r`)))).toEqual(['pong', `m ${message(1)}`]);
    expect(told(framer.push(toBytes('\n')))).toEqual(['pong']);
  });

  it.each([
    ['a header section that is too large', `OPTIONS sip:b SIP/2.0\r\nA: ${'x'.repeat(200)}`, 513],
    ['too many headers', `OPTIONS sip:b SIP/2.0\r\n${'A: x\r\n'.repeat(9)}\r\n`, 400],
    ['a body that is too large', 'OPTIONS sip:b SIP/2.0\r\nl: 101\r\n\r\n', 413],
    ['a body beyond all numbers', `OPTIONS sip:b SIP/2.0\r\nl: ${'9'.repeat(60)}\r\n\r\n`, 400],
    ['a negative length', 'OPTIONS sip:b SIP/2.0\r\nl: -1\r\n\r\n', 400],
    ['two lengths', 'OPTIONS sip:b SIP/2.0\r\nl: 1\r\nContent-Length: 2\r\n\r\n', 400],
  ])('gives up at %s', (_, text, status) => {
    for (const length of [1, 1000]) {
      const framer = new StreamFramer({ maxHeaderBytes: 128, maxHeaders: 8, maxBodyBytes: 100 });
      expect(told(feed(framer, text, length))).toEqual([`error ${status}`]);
      expect(told(framer.push(toBytes(message(1))))).toEqual([]);
      expect(framer.heldBytes).toBe(0);
    }
  });

  it('does work in proportion to the bytes, however small the chunks', () => {
    const cpuMs = (bodyLength: number): number => {
      const bytes = toBytes(message(1, 'x'.repeat(bodyLength)));
      const began = process.cpuUsage();
      const framer = new StreamFramer();
      for (let at = 0; at < bytes.length; at++) framer.push(bytes.subarray(at, at + 1));
      const used = process.cpuUsage(began);
      return (used.user + used.system) / 1000;
    };
    cpuMs(20_000);
    // Eight times the bytes: a quadratic framer would take 64 times as long.
    const small = Math.max(1, cpuMs(30_000));
    expect(cpuMs(240_000)).toBeLessThan(small * 30);
  });
});
