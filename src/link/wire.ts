import type { Socket } from 'node:net';
import type { Clock, Timer } from '../base/index.ts';
import { atEndOfTurn, noteTurn } from '../native/index.ts';

/** What a connection needs of the bytes' carrier. The connection sets the three handlers before anything can arrive. */
export interface Wire {
  /** False: the carrier is congested, `onDrain` tells when to go on. */
  send(chunk: Uint8Array): boolean;
  /** Runs `flush` at the end of this turn, so that what one turn sends becomes one write. */
  soon(flush: () => void): void;
  /** After the sends that may leave in one write. */
  flush(): void;
  /** Ends after what was sent has left. */
  end(): void;
  destroy(): void;
  onBytes: (bytes: Uint8Array) => void;
  onDrain: () => void;
  onEnd: (reason: string) => void;
}

/** Little is left to the kernel and to node, so that a priority frame has little to wait for. */
const CONGESTED_BYTES = 1 << 16;

/** A peer that does not take the last bytes within this time loses them. */
const LAST_WORDS_MS = 1000;

export function socketWire(socket: Socket, clock: Clock): Wire {
  let ending: Timer | undefined;
  let error: Error | undefined;
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  /** Copying a few hundred bytes is cheaper than Node's and the kernel's handling of a list of chunks. */
  const write = (): void => {
    const chunks = held;
    if (chunks.length === 0) return;
    held = [];
    heldBytes = 0;
    if (socket.destroyed || socket.writableEnded) return;
    socket.write(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
  };
  const wire: Wire = {
    send(chunk) {
      held.push(chunk);
      heldBytes += chunk.length;
      if (heldBytes >= CONGESTED_BYTES) write();
      return socket.destroyed || socket.writableLength < CONGESTED_BYTES;
    },
    // After the poll phase: everything that this turn's packets caused goes out together.
    soon: atEndOfTurn,
    // Copying a few hundred bytes is cheaper than Node's and the kernel's handling of a list of chunks.
    flush: write,
    end() {
      if (socket.destroyed) return;
      socket.end();
      ending ??= clock.after(LAST_WORDS_MS, () => socket.destroy());
    },
    destroy: () => socket.destroy(),
    onBytes() {},
    onDrain() {},
    onEnd() {},
  };
  socket.on('data', (bytes: Buffer) => {
    noteTurn();
    wire.onBytes(bytes);
  });
  socket.on('drain', () => wire.onDrain());
  socket.on('error', (cause) => {
    error = cause;
  });
  socket.on('end', () => wire.onEnd('the peer ended the connection'));
  socket.on('close', () => {
    ending?.cancel();
    wire.onEnd(error?.message ?? 'the connection ended');
  });
  return wire;
}
