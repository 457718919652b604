import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { seededRandom, type ZoneId } from '../base/index.ts';
import { loadOrCreateKeyFile, openVault, sealer, type Vault } from './index.ts';

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

describe('keys that can be erased', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'twinline-vault-'));
  });
  afterEach(() => rm(directory, { recursive: true }));
  const vaultOf = (zone: string): Vault =>
    openVault({ directory, zone: zone as ZoneId, bootId: 'boot-1', random });

  test('an adopter in the other zone opens what the dead owner sealed, and goes on', () => {
    const owner = sealer(pair, random, vaultOf('a'));
    const sealed = owner.seal({ roc: 1 }, owner.callKey());
    const adopter = sealer(pair, random, vaultOf('b'));
    expect(adopter.open(sealed)).toEqual({ roc: 1 });
    expect(owner.open(adopter.seal({ roc: 2 }, adopter.keyOf(sealed)))).toEqual({ roc: 2 });
  });

  test('once erased, nobody opens any version again, and the secret is gone from the file', async () => {
    const vault = vaultOf('a');
    const owner = sealer(pair, random, vault);
    const { ref, secret } = vault.take();
    const key = owner.callKey();
    const versions = [owner.seal(1, key), owner.seal(2, key)];
    const adopter = sealer(pair, random, vaultOf('b'));
    expect(versions.map((version) => adopter.open(version))).toEqual([1, 2]);
    adopter.erase(adopter.keyOf(versions[0]!));
    for (const { open } of [owner, adopter, sealer(pair, random, vaultOf('a'))]) {
      for (const version of versions) expect(() => open(version)).toThrow(/its key was erased/);
    }
    vault.erase(ref);
    expect(vault.read(ref)).toBeUndefined();
    const folder = join(directory, 'state', 'a', 'volatile', 'boot-1');
    for (const name of await readdir(folder)) {
      const bytes = await readFile(join(folder, name));
      expect(bytes.includes(Buffer.from(secret))).toBe(false);
      expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600);
    }
  });

  test('slots are used again, and erasing one leaves the others', () => {
    const vault = vaultOf('a');
    const first = vault.take();
    const second = vault.take();
    vault.erase(first.ref);
    vault.erase(first.ref);
    const third = vault.take();
    expect(third.ref).toBe(first.ref);
    expect(vault.take().ref).not.toBe(second.ref);
    expect(Buffer.compare(vault.read(second.ref)!, second.secret)).toBe(0);
    expect(Buffer.compare(vault.read(third.ref)!, third.secret)).toBe(0);
  });

  test('what others erased is found when all slots are taken; beyond that the caller hears of it', () => {
    const vault = vaultOf('a');
    const refs = Array.from({ length: 65_536 }, () => vault.take().ref);
    expect(() => vault.take()).toThrow(/65536 secrets/);
    vaultOf('b').erase(refs[777]!);
    expect(vault.take().ref).toBe(refs[777]);
    expect(() => vault.take()).toThrow(/65536 secrets/);
  });

  test('a ref that would name another file is nothing', () => {
    const vault = vaultOf('a');
    for (const ref of [
      '../a/0123456789/0',
      'a/../../x/0',
      'a/0123456789/-1',
      'a/0123456789/0',
      '',
      'a/0123456789/99999',
    ]) {
      expect(vault.read(ref)).toBeUndefined();
      vault.erase(ref);
    }
  });
});

describe('secrets that lie in the state', () => {
  const [owner, adopter] = [sealer(pair, random, 'state'), sealer(pair, random, 'state')];

  test('another machine with the same key file opens the call by them, and goes on', () => {
    const key = owner.callKey();
    const sealed = owner.seal({ roc: 1 }, key);
    expect(adopter.open(sealed, key.secret)).toEqual({ roc: 1 });
    const adopted = adopter.keyOf(sealed, key.secret);
    expect(owner.open(adopter.seal({ roc: 2 }, adopted), adopted.secret)).toEqual({ roc: 2 });
  });

  test('without the secret, with another, or under another key file the call is noise', () => {
    const key = owner.callKey();
    const sealed = owner.seal({ roc: 1 }, key);
    expect(() => adopter.open(sealed)).toThrow(/its key was erased/);
    expect(() => adopter.open(sealed, new Uint8Array(4))).toThrow(/its key was erased/);
    expect(() => adopter.open(sealed, owner.callKey().secret)).toThrow(/it was altered, or another pair/);
    const stranger = sealer({ newest: 1, keys: new Map([[1, Buffer.alloc(32, 7)]]) }, random, 'state');
    expect(() => stranger.open(sealed, key.secret)).toThrow(/it was altered, or another pair/);
    expect(Buffer.from(sealed).includes(Buffer.from(key.secret!))).toBe(false);
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
