import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Has ffmpeg (Debian's package ffmpeg), with which files are made by another hand than ours. */
export const hasFfmpeg = (() => {
  try {
    execFileSync('ffmpeg', ['-version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

const made = new Map<string, Uint8Array>();

/** A file of ffmpeg: a 440 Hz sine wave at 44.1 kHz, its peak an eighth of full scale. `more`: options for the output. */
export function soundFile(format: string, more: readonly string[], seconds = 2): Uint8Array {
  const key = JSON.stringify([format, more, seconds]);
  let bytes = made.get(key);
  if (bytes === undefined) {
    const folder = mkdtempSync(join(tmpdir(), 'ffmpeg-'));
    // A file and no pipe: what a writer knows only at the end (lengths, an encoder's delay) it puts at the beginning.
    const file = join(folder, 'out');
    const source = ['-f', 'lavfi', '-i', `sine=f=440:d=${seconds}:r=44100`];
    execFileSync('ffmpeg', ['-loglevel', 'error', ...source, ...more, '-f', format, file]);
    bytes = readFileSync(file);
    rmSync(folder, { recursive: true });
    made.set(key, bytes);
  }
  return bytes;
}
