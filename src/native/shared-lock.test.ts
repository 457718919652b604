import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import koffi from 'koffi';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isLinux, libc } from './libc.ts';
import { isByteLocked, lockByte, lockMutexIn } from './shared-lock.ts';

const OFFSET = 64;
let directory: string;
let path: string;
const fds: number[] = [];
const openFile = (): number => {
  const fd = openSync(path, 'a+');
  fds.push(fd);
  return fd;
};

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'twinline-lock-'));
  path = join(directory, 'lock');
});
afterEach(() => {
  for (const fd of fds.splice(0)) closeSync(fd);
  rmSync(directory, { recursive: true });
});

/** As liblmdb does when it is a lock file's first user. */
function makeMutex(): void {
  const c = koffi.load(null);
  const init = c.func('int pthread_mutex_init(uintptr_t mutex, void *attributes)');
  const attributes = Buffer.alloc(64);
  c.func('int pthread_mutexattr_init(void *attributes)')(attributes);
  c.func('int pthread_mutexattr_setpshared(void *attributes, int shared)')(attributes, 1);
  c.func('int pthread_mutexattr_setrobust(void *attributes, int robust)')(attributes, 1);
  const fd = openFile();
  ftruncateSync(fd, 4096);
  const map = BigInt(libc().mmap(0n, 4096, 3, 1, fd, 0));
  expect(init(map + BigInt(OFFSET), attributes)).toBe(0);
  libc().munmap(map, 4096);
}

describe.runIf(isLinux)('locks in files', () => {
  test('bytes are locked one by one, by sharers or by one, until their descriptor is closed', () => {
    const [one, other] = [openFile(), openFile()];
    expect(isByteLocked(one, 0)).toBe(false);
    lockByte(one, 0, 'shared');
    expect([isByteLocked(one, 0), isByteLocked(other, 0), isByteLocked(other, 1)]).toEqual([
      false,
      true,
      false,
    ]);
    lockByte(other, 0, 'shared');
    lockByte(other, 2 ** 40, 'exclusive');
    expect(isByteLocked(one, 2 ** 40)).toBe(true);
    closeSync(openSync(path, 'r'));
    expect(isByteLocked(one, 0)).toBe(true);
    lockByte(other, 2 ** 40, 'none');
    expect(isByteLocked(one, 2 ** 40)).toBe(false);
    closeSync(fds.pop()!);
    expect(isByteLocked(one, 0)).toBe(false);
  });

  test('one at a time has a mutex; who waits for an end that does not come goes away without it', () => {
    makeMutex();
    const fd = openFile();
    const release = lockMutexIn(fd, OFFSET, 1000)!;
    expect(lockMutexIn(fd, OFFSET, 1)).toBeUndefined();
    release();
    const again = lockMutexIn(fd, OFFSET, undefined)!;
    again();
  });

  test('a mutex whose owner was killed is whole again after the next', async () => {
    makeMutex();
    const loader = new URL('../../test/support/typescript-loader.mjs', import.meta.url).href;
    const here = new URL('./shared-lock.ts', import.meta.url).href;
    const code = `import { openSync } from 'node:fs';
      import { lockMutexIn } from '${here}';
      globalThis.release = lockMutexIn(openSync('${path}', 'r+'), ${OFFSET}, undefined);
      console.log('mine');
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--import', loader, '--input-type=module', '-e', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    const fd = openFile();
    expect(lockMutexIn(fd, OFFSET, 1)).toBeUndefined();
    child.kill('SIGKILL');
    await once(child, 'exit');
    for (let round = 0; round < 2; round++) lockMutexIn(fd, OFFSET, 1000)!();
  });

  test('what is not there is not mapped', () => {
    const fd = openFile();
    expect(() => lockMutexIn(fd, OFFSET, 1)).toThrow('too short');
    expect(() => lockByte(-1, 0, 'shared')).toThrow('EBADF');
  });
});
