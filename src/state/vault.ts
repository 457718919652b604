import { closeSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type Random, randomText, TwinlineError, type ZoneId } from '../base/index.ts';
import { bootDirectory } from './lmdb-paths.ts';

/**
 * Secrets that can be erased. LMDB never overwrites: what was put or deleted lies in its free pages until they are used
 * again, minutes or days later. So half of what wraps a call's key lies here, in a file of 32-byte slots that are
 * overwritten in place when the call ends (TR-MEDIA-10); without it the sealed remains in LMDB are noise. On file systems
 * that copy on write (btrfs, zfs), and inside flash memory, older copies of a block may outlive the overwriting.
 */
export interface Vault {
  /** A fresh secret of 32 bytes. Throws `vault_full` when this process holds 65,536. */
  take(): { readonly ref: string; readonly secret: Uint8Array };
  /** Any process of the pair finds the secret by its `ref`; undefined once it was erased. */
  read(ref: string): Uint8Array | undefined;
  /** Overwrites the secret, whoever took it. */
  erase(ref: string): void;
  close(): void;
}

const SLOT_BYTES = 32;
const MAX_SLOTS = 1 << 16;
/** Files of other processes kept open: an adopter reads hundreds of secrets from one. */
const MAX_OPEN = 32;
const ZEROS = new Uint8Array(SLOT_BYTES);
/** `zone/file/slot`. Comes from the state, so it must not be able to name another path. */
const REF = /^([\w-]{1,64})\/([0-9a-z]{10})\/(\d{1,5})$/;

/** The file lives beside the volatile state and goes with it at the next boot of the machine. */
export function openVault(options: {
  readonly directory: string;
  readonly zone: ZoneId;
  readonly bootId: string;
  readonly random: Random;
}): Vault {
  const { directory, zone, bootId, random } = options;
  const pathOf = (owner: string, file: string): string =>
    join(bootDirectory(directory, owner, bootId), `keys-${file}`);
  const name = randomText(random, 10);
  mkdirSync(bootDirectory(directory, zone, bootId), { recursive: true, mode: 0o700 });
  const own = openSync(pathOf(zone, name), 'wx+', 0o600);
  const others = new Map<string, number>();
  const free: number[] = [];
  let used = 0;

  const descriptorOf = (owner: string, file: string): number => {
    if (owner === zone && file === name) return own;
    const path = pathOf(owner, file);
    const known = others.get(path);
    if (known !== undefined) return known;
    const [oldest] = others;
    if (others.size >= MAX_OPEN && oldest !== undefined) {
      closeSync(oldest[1]);
      others.delete(oldest[0]);
    }
    const opened = openSync(path, 'r+');
    others.set(path, opened);
    return opened;
  };
  const slotOf = (ref: string): { owner: string; file: string; slot: number } | undefined => {
    const [, owner, file, slot] = REF.exec(ref) ?? [];
    return owner === undefined ? undefined : { owner, file: file!, slot: Number(slot) };
  };

  return {
    take() {
      if (free.length === 0 && used >= MAX_SLOTS) free.push(...erasedByOthers(own));
      const slot = free.pop() ?? used;
      if (slot >= MAX_SLOTS)
        throw new TwinlineError('vault_full', `this process holds ${MAX_SLOTS} secrets: too many calls`);
      if (slot === used) used++;
      const secret = random.bytes(SLOT_BYTES);
      writeSync(own, secret, 0, SLOT_BYTES, slot * SLOT_BYTES);
      return { ref: `${zone}/${name}/${slot}`, secret };
    },
    read(ref) {
      const at = slotOf(ref);
      if (at === undefined) return undefined;
      const secret = new Uint8Array(SLOT_BYTES);
      try {
        const length = readSync(descriptorOf(at.owner, at.file), secret, 0, SLOT_BYTES, at.slot * SLOT_BYTES);
        return length === SLOT_BYTES && secret.some((byte) => byte !== 0) ? secret : undefined;
      } catch {
        // The file went with an earlier boot.
        return undefined;
      }
    },
    erase(ref) {
      const at = slotOf(ref);
      if (at === undefined || this.read(ref) === undefined) return;
      writeSync(descriptorOf(at.owner, at.file), ZEROS, 0, SLOT_BYTES, at.slot * SLOT_BYTES);
      if (at.owner === zone && at.file === name) free.push(at.slot);
    },
    close() {
      closeSync(own);
      for (const descriptor of others.values()) closeSync(descriptor);
      others.clear();
    },
  };
}

/** Adopters erase in our file without our knowing. */
function erasedByOthers(descriptor: number): number[] {
  const bytes = Buffer.alloc(MAX_SLOTS * SLOT_BYTES);
  readSync(descriptor, bytes, 0, bytes.length, 0);
  const erased: number[] = [];
  for (let slot = 0; slot < MAX_SLOTS; slot++) {
    const at = slot * SLOT_BYTES;
    if (bytes.subarray(at, at + SLOT_BYTES).equals(ZEROS)) erased.push(slot);
  }
  return erased;
}
