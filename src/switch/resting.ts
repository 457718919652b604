import type { Call } from '../call/index.ts';

/**
 * An ended call waits half a minute for what phones send again, and hardly ever gets anything: as bytes outside of the heap it is nothing
 * that the collector would have to look at, nor does it hold the messages that its texts were cut from.
 */
export const toRest = (call: Call): Uint8Array => Buffer.from(JSON.stringify(call));

export const fromRest = (resting: Uint8Array | undefined): Call | undefined =>
  resting === undefined
    ? undefined
    : (JSON.parse(Buffer.from(resting.buffer, resting.byteOffset, resting.length).toString()) as Call);

/** The same text without the message that it was cut from, which V8 would keep with it. */
export const detached = (text: string): string => Buffer.from(text, 'latin1').toString('latin1');
