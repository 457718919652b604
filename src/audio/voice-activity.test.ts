import { expect, test } from 'vitest';
import { hasSpeech, speech } from '../../test/support/speech.ts';
import { loadVoiceDetectors } from './voice-activity.ts';

const open = await loadVoiceDetectors();

test.each([8000, 16_000, 48_000] as const)('silence and a hum at %i Hz are no voice', (rateHz) => {
  const detector = open(rateHz);
  const frame = new Int16Array(rateHz / 50);
  for (let n = 0; n < 50; n++) expect(detector.detect(frame)).toBe(false);
  for (let n = 0; n < 100; n++) {
    for (let i = 0; i < frame.length; i++)
      frame[i] = Math.round(300 * Math.sin((2 * Math.PI * 50 * (n * frame.length + i)) / rateHz));
    detector.detect(frame);
  }
  expect(detector.speaking).toBe(false);
  detector.release();
  detector.release();
  expect(detector.detect(frame)).toBe(false);
});

test.skipIf(!hasSpeech)(
  'a sentence is voice from its beginning to its end, with its pauses, and not after it',
  async () => {
    const said = await speech(8000, 'Please hold the line, somebody will be with you in a moment.');
    const detector = open(8000, { hangoverMs: 200 });
    const changes: number[] = [];
    const frame = new Int16Array(160);
    const lead = 25;
    const frames = Math.floor(said.length / 160);
    for (let n = 0; n < lead + frames + 50; n++) {
      const at = (n - lead) * 160;
      frame.fill(0);
      if (at >= 0 && n < lead + frames) frame.set(said.subarray(at, at + 160));
      const before = detector.speaking;
      if (detector.detect(frame) !== before) changes.push(n);
    }
    expect(changes.length).toBeGreaterThanOrEqual(2);
    expect(changes.length % 2).toBe(0);
    expect(changes[0]).toBeGreaterThanOrEqual(lead);
    expect(changes[0]).toBeLessThan(lead + 25);
    expect(changes.at(-1)).toBeGreaterThan(lead + frames - 30);
    expect(changes.at(-1)).toBeLessThan(lead + frames + 30);
    detector.release();
  },
);
