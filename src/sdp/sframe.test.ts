import { describe, expect, it } from 'vitest';
import {
  audioOf,
  buildAnswer,
  isSframeTooLong,
  parseSdp,
  SFRAME_LIMITS,
  sameSframe,
  serializeSdp,
} from './index.ts';

const offer = (...lines: string[]): string =>
  [
    'v=0',
    'o=- 1 1 IN IP4 192.0.2.1',
    's=-',
    'c=IN IP4 192.0.2.1',
    't=0 0',
    'm=audio 4000 RTP/AVP 0',
    'a=rtpmap:0 PCMU/8000',
    ...lines,
    '',
  ].join('\r\n');
const read = (text: string) => {
  const parsed = parseSdp(text);
  if (!parsed.ok) throw new Error(parsed.error.message);
  return parsed.value;
};
const markIn = (text: string) => audioOf(read(text))?.sframe;

describe('the mark of a medium that is encrypted end to end', () => {
  it('is read with what belongs to it, and written in the same order', () => {
    const sd = read(offer('a=sframe', 'a=sendrecv', 'a=sframe-key:p256 a:b=', 'a=sframed'));
    const audio = audioOf(sd)!;
    expect(audio.sframe).toEqual([{ name: 'sframe' }, { name: 'sframe-key', value: 'p256 a:b=' }]);
    const answer = buildAnswer(sd, {
      sessionId: '1',
      version: '1',
      address: '192.0.2.2',
      family: 4,
      port: 5000,
      rtcpPort: 5001,
      rtcpMux: false,
      direction: 'sendrecv',
      codecs: audio.codecs,
      audio,
      sframe: audio.sframe!,
    });
    expect(serializeSdp(answer)).toContain('a=sendrecv\r\na=sframe\r\na=sframe-key:p256 a:b=\r\n');
  });

  it.each([[[]], [['a=sframe-key:1']], [['a=SFRAME']], [['a=framerate:1']]])('%j is none', (lines) => {
    expect(markIn(offer(...lines))).toBeUndefined();
  });

  it('is another one when anything of it differs', () => {
    const one = [{ name: 'sframe' }, { name: 'sframe-key', value: '1' }];
    expect(sameSframe(one, structuredClone(one))).toBe(true);
    expect(sameSframe(undefined, undefined)).toBe(true);
    for (const other of [undefined, one.slice(0, 1), [one[0]!, { name: 'sframe-key', value: '2' }]])
      expect(sameSframe(one, other)).toBe(false);
  });

  it('has bounds', () => {
    const many = Array.from({ length: SFRAME_LIMITS.attributes }, () => ({ name: 'sframe' }));
    expect(isSframeTooLong(many)).toBe(false);
    expect(isSframeTooLong([...many, { name: 'sframe' }])).toBe(true);
    expect(isSframeTooLong([{ name: 'sframe', value: 'x'.repeat(SFRAME_LIMITS.characters) }])).toBe(true);
  });
});
