import { TwinlineError } from '../base/index.ts';
import type { DirectorySnapshot } from '../directory/index.ts';
import type { Channel, Frame } from '../link/index.ts';

/** A frame holds less than 1 MiB. */
const PART_BYTES = 512 * 1024;
/** 64 MiB: the largest configuration that is read has 32. */
const MAX_PARTS = 128;
const ANSWER_MS = 10_000;

/** Sends a snapshot in parts, each after the one before has arrived. Rejects as `Channel.request`. */
export async function sendSnapshot(channel: Channel, snapshot: DirectorySnapshot): Promise<void> {
  const bytes = Buffer.from(JSON.stringify(snapshot));
  const parts = Math.max(1, Math.ceil(bytes.length / PART_BYTES));
  if (parts > MAX_PARTS)
    throw new TwinlineError('snapshot_too_large', `account ${snapshot.account} is too large to be sent`);
  const { account, number } = snapshot;
  for (let part = 0; part < parts; part++) {
    const body = bytes.subarray(part * PART_BYTES, (part + 1) * PART_BYTES);
    await channel.request({ kind: 'snapshot', data: { account, number, part, parts }, body }, ANSWER_MS);
  }
}

/** Puts the parts together, for each peer one snapshot at a time. */
export class SnapshotReceiver {
  readonly #coming = new Map<string, { readonly of: string; readonly parts: Uint8Array[] }>();

  /** The whole snapshot with its last part. Throws `bad_command` for what is none. */
  receive(peer: string, frame: Frame): DirectorySnapshot | undefined {
    const { account, number, part, parts } = (frame.data ?? {}) as Record<string, unknown>;
    const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
    if (typeof account !== 'string' || !isCount(number) || !isCount(part) || !isCount(parts))
      throw new TwinlineError('bad_command', 'a part of a snapshot is unreadable');
    if (parts > MAX_PARTS || part >= parts || frame.body === undefined)
      throw new TwinlineError('bad_command', 'a part of a snapshot is unreadable');
    const of = `${account} ${number} ${parts}`;
    const before = this.#coming.get(peer);
    const coming = part === 0 || before === undefined ? { of, parts: [] } : before;
    if (coming.of !== of || coming.parts.length !== part) {
      this.#coming.delete(peer);
      throw new TwinlineError('bad_command', 'the parts of a snapshot came out of order');
    }
    coming.parts.push(Uint8Array.from(frame.body));
    this.#coming.set(peer, coming);
    if (coming.parts.length < parts) return undefined;
    this.#coming.delete(peer);
    return readSnapshot(Buffer.concat(coming.parts).toString('utf8'), account, number);
  }
}

function readSnapshot(text: string, account: string, number: number): DirectorySnapshot {
  let snapshot: Partial<DirectorySnapshot> | null = null;
  try {
    snapshot = JSON.parse(text) as Partial<DirectorySnapshot> | null;
  } catch {
    // Said below.
  }
  const lists = [snapshot?.domains, snapshot?.sites, snapshot?.users, snapshot?.devices];
  if (
    snapshot?.v === 1 &&
    snapshot.account === account &&
    snapshot.number === number &&
    lists.every(Array.isArray)
  )
    return snapshot as DirectorySnapshot;
  throw new TwinlineError('bad_command', `the snapshot ${number} of account ${account} is unreadable`);
}
