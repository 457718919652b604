import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { seededRandom } from '../base/index.ts';
import { loadOrCreateKeyFile, sealer } from './index.ts';

const random = seededRandom(7);
const pair = { newest: 1, keys: new Map([[1, random.bytes(32)]]) };

describe('sealed values', () => {
  test('come back as they were', () => {
    const { seal, open } = sealer(pair, random);
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(open(seal(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  test('show nothing of the key inside, and never look alike', () => {
    const { seal } = sealer(pair, random);
    const secret = 'WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz';
    const [one, other] = [seal({ key: secret }), seal({ key: secret })];
    expect(Buffer.from(one).includes(secret)).toBe(false);
    expect(Buffer.compare(one, other)).not.toBe(0);
  });

  test('any changed byte is noticed', () => {
    const { seal, open } = sealer(pair, random);
    const sealed = seal({ key: 'k' });
    for (let at = 0; at < sealed.length; at++) {
      const altered = Uint8Array.from(sealed);
      altered[at]! ^= 1;
      expect(() => open(altered)).toThrow(/cannot be opened/);
    }
    for (let length = 0; length < sealed.length; length++) {
      expect(() => open(sealed.subarray(0, length))).toThrow(/cannot be opened/);
    }
  });

  test("one call's values share its key, under nonces of their own; an adopter goes on with it", () => {
    const owner = sealer(pair, random);
    const key = owner.callKey();
    const [one, other] = [owner.seal(1, key), owner.seal(1, key)];
    expect(Buffer.compare(one, other)).not.toBe(0);
    const adopter = sealer(pair, seededRandom(8));
    expect(adopter.open(one)).toBe(1);
    expect(Buffer.compare(adopter.keyOf(other).key, key.key)).toBe(0);
    expect(owner.open(adopter.seal(2, adopter.keyOf(one)))).toBe(2);
  });

  test('after the key was changed the old values still open, the new use the new key', () => {
    const old = sealer(pair, random).seal('old');
    const changed = { newest: 2, keys: new Map([...pair.keys, [2, random.bytes(32)] as const]) };
    const { seal, open } = sealer(changed, random);
    expect(open(old)).toBe('old');
    expect(open(seal('new'))).toBe('new');
    expect(() => sealer(pair, random).open(seal('new'))).toThrow(/no key of version 2/);
  });
});

describe("the pair's key file", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'twinline-key-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  test('is made once, for us alone', async () => {
    const path = join(directory, 'keys', 'pair.key');
    const made = loadOrCreateKeyFile(path, random);
    expect(made.keys.get(1)).toHaveLength(32);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(loadOrCreateKeyFile(path, random)).toEqual(made);
  });

  test('may hold several versions', async () => {
    const path = join(directory, 'pair.key');
    await writeFile(path, `# keys\n1 ${'0a'.repeat(32)}\n3 ${'0b'.repeat(32)}\n`, { mode: 0o600 });
    expect(loadOrCreateKeyFile(path, random)).toMatchObject({ newest: 3 });
  });

  test('is refused when others may read it, or when it makes no sense', async () => {
    const path = join(directory, 'pair.key');
    loadOrCreateKeyFile(path, random);
    await chmod(path, 0o640);
    expect(() => loadOrCreateKeyFile(path, random)).toThrow(/chmod 600/);
    await chmod(path, 0o600);
    await writeFile(path, `${await readFile(path, 'utf8')}2 short\n`);
    expect(() => loadOrCreateKeyFile(path, random)).toThrow(/pair.key:2: a line is/);
    await writeFile(path, '');
    expect(() => loadOrCreateKeyFile(path, random)).toThrow(/no key/);
  });
});
