import { expect, test } from 'vitest';
import { hasSpeech, speech } from '../../test/support/speech.ts';
import { createConcealer } from './concealment.ts';

const energy = (pcm: Int16Array): number => pcm.reduce((sum, sample) => sum + sample ** 2, 0);
const ratioDb = (wanted: Int16Array, got: Int16Array): number =>
  10 * Math.log10(energy(wanted) / (energy(wanted.map((sample, i) => sample - (got[i] as number))) + 1));

const chord = (rateHz: number, seconds: number): Int16Array =>
  Int16Array.from({ length: rateHz * seconds }, (_, i) => {
    const turn = (2 * Math.PI * i) / rateHz;
    return Math.round(
      8000 * Math.sin(110 * turn) + 4000 * Math.sin(330 * turn + 1) + 3000 * Math.sin(880 * turn + 1),
    );
  });

test.each([8000, 16_000])(
  'a steady sound at %i Hz goes on through a lost frame, fades and is silent after 60 ms',
  (rateHz) => {
    const frame = rateHz / 50;
    const sound = chord(rateHz, 1);
    const concealer = createConcealer(rateHz);
    const at = (n: number) => sound.slice(n * frame, (n + 1) * frame);
    for (let n = 0; n < 10; n++) concealer.take(at(n));
    const out = new Int16Array(frame);
    concealer.fill(out);
    expect(ratioDb(at(10), out)).toBeGreaterThan(14);
    let before = energy(out);
    for (let n = 11; n < 13; n++) {
      concealer.fill(out);
      expect(energy(out)).toBeLessThan(before);
      expect(energy(out)).toBeGreaterThan(0);
      before = energy(out);
    }
    for (let n = 13; n < 2000; n++) concealer.fill(out);
    expect(energy(out)).toBe(0);
  },
);

test('what comes after a loss is blended into it: no step is larger than those of the sound', () => {
  const sound = chord(8000, 1);
  const concealer = createConcealer(8000);
  const heard = new Int16Array(sound.length);
  for (let n = 0; n < 50; n++) {
    const frame = sound.slice(n * 160, (n + 1) * 160);
    if (n % 5 === 4) concealer.fill(frame);
    else concealer.take(frame);
    heard.set(frame, n * 160);
  }
  const steps = (pcm: Int16Array) =>
    pcm.reduce(
      (most, sample, i) => (i === 0 ? 0 : Math.max(most, Math.abs(sample - (pcm[i - 1] as number)))),
      0,
    );
  expect(steps(heard)).toBeLessThan(1.3 * steps(sound));
});

test.skipIf(!hasSpeech)(
  'speech with single frames lost is nearer to what was said than with the last frame said again',
  async () => {
    const said = await speech(8000);
    let concealed = 0;
    let repeated = 0;
    let count = 0;
    const out = new Int16Array(160);
    for (let n = 10; (n + 1) * 160 < said.length; n += 3) {
      const wanted = said.subarray(n * 160, (n + 1) * 160);
      if (energy(wanted) < 160 * 1e5) continue;
      const concealer = createConcealer(8000);
      for (let k = n - 6; k < n; k++) concealer.take(said.slice(k * 160, (k + 1) * 160));
      concealer.fill(out);
      concealed += ratioDb(wanted, out);
      repeated += ratioDb(
        wanted,
        said.slice((n - 1) * 160, n * 160).map((sample) => sample >> 1),
      );
      count++;
    }
    expect(count).toBeGreaterThan(100);
    expect(concealed / count).toBeGreaterThan(repeated / count + 1);
  },
);
