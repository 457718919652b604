import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { failed, ok, VirtualClock } from '../base/index.ts';
import { decodeFile } from './decode-file.ts';
import { espeakSpeech, languageFor, languagesIn } from './espeak.ts';
import { levelDbov } from './mix.ts';
import { createSpeech, type SpeechEngine } from './speech.ts';

const folder = mkdtempSync(join(tmpdir(), 'speech-'));
afterAll(() => rmSync(folder, { recursive: true }));

const hasEspeak = (() => {
  try {
    execFileSync('espeak-ng', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

/** A program that stands in for espeak-ng. */
function program(name: string, script: string): string {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o700);
  return path;
}

const message = async (spoken: ReturnType<SpeechEngine['speak']>): Promise<string> => {
  const result = await spoken;
  return result.ok ? 'spoken' : `${result.error.code}: ${result.error.message}`;
};

describe.skipIf(!hasEspeak)('espeak-ng', () => {
  const speech = createSpeech({
    engine: espeakSpeech({ clock: new VirtualClock() }),
    decode: decodeFile,
  });

  test('speaks a text at each of our rates, of the same length', async () => {
    const lengths: number[] = [];
    for (const rateHz of [8000, 16_000, 48_000] as const) {
      const spoken = await speech.load('Good morning, this is a test.', {}, rateHz);
      if (!spoken.ok) throw new Error(spoken.error.message);
      expect(levelDbov(spoken.value)).toBeGreaterThan(-40);
      lengths.push(spoken.value.length / rateHz);
    }
    expect(lengths[0]).toBeGreaterThan(1);
    for (const length of lengths) expect(Math.abs(length - lengths[0]!)).toBeLessThan(0.001);
  });

  test('speaks a language by its nearest voice, and a voice asked for', async () => {
    const spoken = async (wish: { language?: string; voice?: string }) => {
      const result = await speech.load('Guten Tag, 21', wish, 8000);
      return result.ok ? result.value.length : result.error.message;
    };
    const german = await spoken({ language: 'de-CH' });
    expect(german).toBe(await spoken({ voice: 'de' }));
    expect(german).not.toBe(await spoken({ language: 'en-GB' }));
    expect(await spoken({ language: 'de', voice: '+f3' })).toBeGreaterThan(4000);
    expect(await spoken({ language: 'tlh-KX' })).toBe('espeak-ng has no voice for the language "tlh-KX"');
    expect(await spoken({ voice: 'xyzzy' })).toMatch(/^espeak-ng ended with code 1: .*does not exist/);
  });

  test('a text is no option, no shell and no end of the input', async () => {
    const text = '$(touch hacked); --version `id` "\' \\ \0 äöü 你好 <speak/>';
    const spoken = await speech.load(text, {}, 8000);
    expect(spoken.ok).toBe(true);
    for (const voice of ['-h', '../../etc/passwd', 'en; id', '+', 'x'.repeat(100)])
      expect(await message(espeakSpeech({ clock: new VirtualClock() }).speak('hello', { voice }))).toMatch(
        /^speech_failed: the voice/,
      );
  });
});

test('a machine without espeak-ng says which package is missing', async () => {
  const engine = espeakSpeech({ clock: new VirtualClock(), program: join(folder, 'missing') });
  for (let n = 0; n < 2; n++)
    expect(await message(engine.speak('hello', {}))).toBe(
      `speech_missing: nothing can be spoken: ${join(folder, 'missing')} is not on this machine; install Debian's package espeak-ng`,
    );
});

test('one that never ends is ended at the deadline, one that talks too much at its bound', async () => {
  const clock = new VirtualClock();

  const hangs = espeakSpeech({
    clock,
    program: program('hangs', 'exec sleep 1000'),
    deadlineMs: 500,
  });
  const spoken = message(hangs.speak('hello', { voice: 'en' }));
  // Its deadline is set when it is started.
  while (clock.nextDueMs() === undefined) await new Promise(setImmediate);
  clock.advance(500);
  expect(await spoken).toMatch(/was not done after 500 ms$/);
  const floods = espeakSpeech({ clock, program: program('floods', 'exec yes'), mostBytes: 100_000 });
  expect(await message(floods.speak('hello', { voice: 'en' }))).toMatch(/gave more than 100000 octets$/);
  const fails = espeakSpeech({ clock, program: program('fails', 'echo "no sound card" >&2; exit 3') });
  expect(await message(fails.speak('hello', { voice: 'en' }))).toMatch(/ended with code 3: no sound card$/);
});

test('so many processes at once, so many texts waiting, and the rest is refused', async () => {
  const log = join(folder, 'log');
  const gate = join(folder, 'gate');
  execFileSync('mkfifo', [gate]);
  const engine = espeakSpeech({
    clock: new VirtualClock(),
    program: program('waits', `echo begin >> ${log}; read go < ${gate}; echo end >> ${log}; echo sound`),
    atOnce: 1,
    mostWaiting: 2,
  });
  const texts = ['one', 'two', 'three', 'four'].map((text) => message(engine.speak(text, { voice: 'en' })));
  expect(await texts[3]).toBe('speech_busy: 2 texts wait to be spoken already: "four"');
  for (let n = 0; n < 3; n++) {
    // Opening the gate waits for the reader; the next one reads only after the one before has ended.
    execFileSync('sh', ['-c', `echo go > ${gate}`]);
    expect(await texts[n]).toBe('spoken');
  }
  expect(readFileSync(log, 'utf8')).toBe('begin\nend\n'.repeat(3));
});

test('a text is spoken once for all who wait and then kept; a failure is not', async () => {
  const asked: string[] = [];
  let fails = true;
  const engine: SpeechEngine = {
    async speak(text) {
      asked.push(text);
      return fails
        ? failed({ code: 'speech_failed', message: 'not now' })
        : ok({ name: text, bytes: new Uint8Array() });
    },
  };
  const speech = createSpeech({
    engine,
    decode: async () => ok(new Int16Array(100)),
    cacheBytes: 350,
    mostCharacters: 10,
  });
  expect((await speech.load('a', {}, 8000)).ok).toBe(false);
  fails = false;
  await Promise.all([speech.load('a', {}, 8000), speech.load('a', {}, 8000)]);
  await speech.load('a', {}, 8000);
  expect(asked).toEqual(['a', 'a']);
  await speech.load('a', { voice: 'b' }, 8000);
  await speech.load('a', {}, 16_000);
  expect(asked.length).toBe(4);
  expect(speech.usedBytes).toBe(200);
  expect(await speech.load('x'.repeat(11), {}, 8000)).toEqual({
    ok: false,
    error: { code: 'speech_failed', message: expect.stringContaining('at most 10 are spoken') },
  });
  expect(await speech.load('  ', {}, 8000)).toEqual(ok(new Int16Array()));
  expect(asked.length).toBe(4);
});

test('languages are found by their names, ever shorter', () => {
  const languages = languagesIn(
    [
      'Pty Language       Age/Gender VoiceName          File                 Other Languages',
      ' 5  cmn             --/M      Chinese_(Mandarin) sit/cmn              (zh-cmn 5)(zh 5)',
      ' 2  en-gb           --/M      English_(GB)       gmw/en               (en 2)',
      ' 5  fr-be           --/M      French_(Belgium)   roa/fr-BE            (fr 8)',
      ' 5  pt-br           --/M      Portuguese         roa/pt-BR',
    ].join('\n'),
  );
  const found = ['zh-CN', 'en', 'EN_GB', 'en-AU', 'fr', 'pt-BR', 'pt-PT', 'xx'].map((one) =>
    languageFor(one, languages),
  );
  expect(found).toEqual(['cmn', 'en-gb', 'en-gb', 'en-gb', 'fr-be', 'pt-br', 'pt-br', undefined]);
});
