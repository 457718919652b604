import { execFileSync } from 'node:child_process';
import { decodeFile, type SampleRateHz } from '../../src/audio/index.ts';

/** Has espeak-ng (Debian's package of that name). */
export const hasSpeech = (() => {
  try {
    execFileSync('espeak-ng', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

export const SENTENCES =
  'Thank you for calling. Your call is important to us. Please hold the line, somebody will be with you in a moment. ' +
  'While you wait, you may press the star key to leave a message, or say in a few words what this is about. ' +
  'Our offices in Zurich, Geneva and Lugano are open from eight in the morning until half past six in the evening.';

/** Speech of espeak-ng. `more`: further options, such as `-p 90` for a high voice. */
export async function speech(
  rateHz: SampleRateHz,
  text = SENTENCES,
  voice = 'en',
  more: readonly string[] = [],
): Promise<Int16Array> {
  const bytes = execFileSync('espeak-ng', ['--stdout', '--stdin', '-v', voice, ...more], {
    input: text,
    maxBuffer: 2 ** 28,
  });
  const decoded = await decodeFile({ name: 'speech', bytes }, rateHz, 3600);
  if (!decoded.ok) throw new Error(decoded.error.message);
  return decoded.value;
}
