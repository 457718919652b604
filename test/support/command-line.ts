import { execFile } from 'node:child_process';
import path from 'node:path';
import { ROOT } from './installation.ts';

export interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Of the process; it has ended. */
  readonly pid: number;
}

/** `twinline …` as a person types it, until it ends. `uid`: as another user, where we are root. */
export function twinline(args: readonly string[], options: { readonly uid?: number } = {}): Promise<Said> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [path.join(ROOT, 'dist/cli/main.js'), ...args],
      { cwd: ROOT, encoding: 'utf8', timeout: 60_000, ...options },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        resolve({ code, stdout, stderr, pid: child.pid ?? 0 });
      },
    );
  });
}
