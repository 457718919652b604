/** The bytes of a byte string (see `message.ts`). */
export const toBytes = (text: string): Buffer => Buffer.from(text, 'latin1');

/** Bytes as a byte string: one character a byte, nothing decoded. */
export const fromBytes = (bytes: Uint8Array, start = 0, end = bytes.length): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1', start, end);

/** UTF-8 text that people wrote as a byte string, and back for display. */
export const fromUtf8 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
export const toUtf8 = (text: string): string => Buffer.from(text, 'latin1').toString('utf8');
