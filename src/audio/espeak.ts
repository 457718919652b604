import { spawn } from 'node:child_process';
import { type Clock, failed, ok, type Result } from '../base/index.ts';
import type { SoundFile } from './file.ts';
import type { SpeechWish } from './playback.ts';
import type { AudioProblem } from './problem.ts';
import type { SpeechEngine } from './speech.ts';

export interface EspeakOptions {
  readonly clock: Clock;
  /** Default `espeak-ng`, looked for on the PATH. */
  readonly program?: string;
  /** A text takes some 50 ms. Default 10,000. */
  readonly deadlineMs?: number;
  /** Of sound (44,100 octets a second). Default 32 MiB. */
  readonly mostBytes?: number;
  /** Processes at once; others wait. Default 2. */
  readonly atOnce?: number;
  /** More than this many waiting are refused. Default 64. */
  readonly mostWaiting?: number;
  /** When a text names none. Default `en-us`. */
  readonly language?: string;
}

type Output = Result<Uint8Array, AudioProblem>;

/** Of espeak-ng's names: `en-us`, `de+f3`, `mb-de5`. Nothing that could be an option or a path. */
const VOICE = /^[A-Za-z0-9][A-Za-z0-9_-]{0,40}(\+[A-Za-z0-9_-]{1,20})?$/;
const VARIANT = /^\+[A-Za-z0-9_-]{1,20}$/;

/**
 * espeak-ng as a child process for each text. The text goes through its standard input and never through a shell or an argument;
 * only a language and voice of the expected form are arguments.
 */
export function espeakSpeech(options: EspeakOptions): SpeechEngine {
  const { program = 'espeak-ng', language = 'en-us', atOnce = 2, mostWaiting = 64 } = options;
  const waiting: (() => void)[] = [];
  let running = 0;
  let languages: Promise<Result<ReadonlyMap<string, string>, AudioProblem>> | undefined;

  const turn = async <T>(work: () => Promise<T>): Promise<T> => {
    if (running >= atOnce) await new Promise<void>((begin) => waiting.push(begin));
    else running++;
    try {
      return await work();
    } finally {
      // The turn is handed on, so that nobody slips in between.
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  };

  /** espeak-ng's voices by the languages they speak; asked again after a failure. */
  const known = async (): Promise<Result<ReadonlyMap<string, string>, AudioProblem>> => {
    languages ??= run(program, ['--voices'], '', options).then((listed) =>
      listed.ok ? ok(languagesIn(new TextDecoder().decode(listed.value))) : listed,
    );
    const found = await languages;
    if (!found.ok) languages = undefined;
    return found;
  };

  const voiceOf = async (wish: SpeechWish): Promise<Result<string, AudioProblem>> => {
    const { voice = '' } = wish;
    if (VOICE.test(voice)) return ok(voice);
    if (voice !== '' && !VARIANT.test(voice))
      return failed({
        code: 'speech_failed',
        message: `the voice ${JSON.stringify(voice.slice(0, 60))} is none of espeak-ng (such as en-us, de+f3, +m2)`,
      });
    const found = await known();
    if (!found.ok) return found;
    const wanted = wish.language ?? language;
    const chosen = languageFor(wanted, found.value);
    if (chosen === undefined)
      return failed({
        code: 'speech_failed',
        message: `espeak-ng has no voice for the language ${JSON.stringify(wanted.slice(0, 60))}`,
      });
    return ok(chosen + voice);
  };

  return {
    async speak(text, wish): Promise<Result<SoundFile, AudioProblem>> {
      if (waiting.length >= mostWaiting)
        return failed({
          code: 'speech_busy',
          message: `${mostWaiting} texts wait to be spoken already: "${text.slice(0, 40)}"`,
        });
      return turn(async () => {
        const voice = await voiceOf(wish);
        if (!voice.ok) return voice;
        const spoken = await run(
          program,
          ['--stdout', '--stdin', '-b', '1', '-v', voice.value],
          text,
          options,
        );
        return spoken.ok ? ok({ name: `speech "${text.slice(0, 40)}"`, bytes: spoken.value }) : spoken;
      });
    },
  };
}

/** Runs it to its end; resolves always. */
function run(
  program: string,
  args: readonly string[],
  input: string,
  options: EspeakOptions,
): Promise<Output> {
  const { clock, deadlineMs = 10_000, mostBytes = 2 ** 25 } = options;
  return new Promise((answer) => {
    const child = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'] ?? '' },
    });
    const parts: Uint8Array[] = [];
    let length = 0;
    let complaint = '';
    let ending: AudioProblem | undefined;
    const stop = (message: string): void => {
      ending ??= { code: 'speech_failed', message };
      child.kill('SIGKILL');
    };
    const timer = clock.after(deadlineMs, () => stop(`${program} was not done after ${deadlineMs} ms`));
    child.stdout.on('data', (part: Uint8Array) => {
      length += part.length;
      if (length > mostBytes) stop(`${program} gave more than ${mostBytes} octets`);
      else parts.push(part);
    });
    child.stderr.on('data', (part: Uint8Array) => {
      if (complaint.length < 500) complaint += new TextDecoder().decode(part);
    });
    // It may end before it has read all; its exit says why.
    child.stdin.on('error', () => {});
    child.on('error', (error: NodeJS.ErrnoException) => {
      timer.cancel();
      answer(
        failed(
          error.code === 'ENOENT'
            ? {
                code: 'speech_missing',
                message: `nothing can be spoken: ${program} is not on this machine; install Debian's package espeak-ng`,
              }
            : { code: 'speech_failed', message: `${program} could not be started: ${error.message}` },
        ),
      );
    });
    child.on('close', (code, signal) => {
      timer.cancel();
      if (ending !== undefined) answer(failed(ending));
      else if (code === 0) answer(ok(Buffer.concat(parts)));
      else
        answer(
          failed({
            code: 'speech_failed',
            message: `${program} ended with ${signal ?? `code ${code}`}: ${complaint.trim().slice(0, 200)}`,
          }),
        );
    });
    child.stdin.end(input);
  });
}

/** `--voices`: priority, language, age and gender, name, file, and in brackets other languages that the voice speaks. */
export function languagesIn(listing: string): Map<string, string> {
  const found = new Map<string, string>();
  const others: [string, string][] = [];
  for (const line of listing.split('\n').slice(1)) {
    const [, language] = line.trim().split(/\s+/);
    if (language === undefined) continue;
    found.set(language.toLowerCase(), language);
    for (const [, other] of line.matchAll(/\(([A-Za-z0-9-]+) \d+\)/g))
      others.push([other!.toLowerCase(), language]);
  }
  // What is a voice's first language counts before what others speak besides.
  for (const [other, language] of others) if (!found.has(other)) found.set(other, language);
  return found;
}

/** BCP 47, ever shorter, then any of the same language: `de-AT` is spoken as `de`, `fr` as `fr-fr`. */
export function languageFor(wanted: string, languages: ReadonlyMap<string, string>): string | undefined {
  const parts = wanted.toLowerCase().split(/[-_]/);
  for (let length = parts.length; length > 0; length--) {
    const found = languages.get(parts.slice(0, length).join('-'));
    if (found !== undefined) return found;
  }
  for (const [language, voice] of languages) if (language.startsWith(`${parts[0]}-`)) return voice;
  return undefined;
}
