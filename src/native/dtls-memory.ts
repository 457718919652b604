import { addressOf } from './libc.ts';
import type { Address } from './openssl-calls.ts';

/** Calls are synchronous, so one block serves all sessions of a thread. */
export interface Room {
  readonly input: Uint8Array;
  readonly inputAt: Address;
  readonly output: Uint8Array;
  readonly outputAt: Address;
}

export const INPUT_BYTES = 65_536;
export const OUTPUT_BYTES = 65_536;
let room: Room | undefined;

export function theRoom(): Room {
  if (room === undefined) {
    const block = new ArrayBuffer(INPUT_BYTES + OUTPUT_BYTES);
    const at = Number(addressOf(block));
    room = {
      input: new Uint8Array(block, 0, INPUT_BYTES),
      inputAt: at,
      output: new Uint8Array(block, INPUT_BYTES),
      outputAt: at + INPUT_BYTES,
    };
  }
  return room;
}

/** Puts a text where C can read it, until the next call. */
export function cText(text: string, offset = 0): Address {
  const { input, inputAt } = theRoom();
  const bytes = Buffer.from(`${text}\0`, 'latin1');
  if (offset + bytes.length > input.length) throw new RangeError('a text for OpenSSL is too long');
  input.set(bytes, offset);
  return inputAt + offset;
}
