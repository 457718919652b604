import { execFileSync } from 'node:child_process';

export const SENTENCES =
  'Thank you for calling. Your call is important to us. Please hold the line, somebody will be with you in a moment. ' +
  'While you wait, you may press the star key to leave a message, or say in a few words what this is about. ' +
  'Our offices in Zurich, Geneva and Lugano are open from eight in the morning until half past six in the evening.';

/** Speech of espeak-ng at 8 or 16 kHz, one channel, resampled by sox. Both are Debian's packages. */
export function speech(rateHz: 8000 | 16_000 | 48_000, text = SENTENCES, voice = 'en'): Int16Array {
  const wav = execFileSync('espeak-ng', ['--stdout', '-v', voice, '--stdin'], {
    input: text,
    maxBuffer: 2 ** 28,
  });
  const raw = execFileSync(
    'sox',
    ['-t', 'wav', '-', '-t', 'raw', '-r', String(rateHz), '-c', '1', '-b', '16', '-e', 'signed-integer', '-'],
    { input: wav, maxBuffer: 2 ** 28, stdio: ['pipe', 'pipe', 'ignore'] },
  );
  return new Int16Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length));
}
