import type { Clock } from '../base/index.ts';
import type { Channel } from '../link/index.ts';

/** What carries the mirror's messages: a Unix socket (`UnixSocket` is one), or a link to another machine. */
export interface MirrorWire {
  readonly peer: { readonly pid: number };
  /** To another machine: no descriptors pass, and what was sent just before a death may be lost with the machine. */
  readonly distant?: true;
  send(bytes: Uint8Array, fds?: readonly number[]): 'sent' | 'full' | 'closed';
  onMessage(handler: (message: { readonly bytes: Buffer; readonly fds: readonly number[] }) => void): void;
  onWritable(handler: () => void): void;
  onClose(handler: () => void): void;
  close(): void;
}

/** Enough for all streams of a process at once, when the twin is there again. */
export const MIRROR_WINDOW = { frames: 16_384, bytes: 32 * 1024 * 1024 };
/** A link does not say when it has room. */
const LOOK_AGAIN_MS = 5;

/** The mirror over a link. The handlers are set in the turn in which the channel came. */
export function wireOf(channel: Channel, clock: Clock): MirrorWire {
  let writable = (): void => {};
  let looks = false;
  const look = (): void => {
    looks = false;
    if (channel.open) writable();
  };
  let closed = (): void => {};
  let over = false;
  channel.onClose(() => {
    if (over) return;
    over = true;
    closed();
  });
  return {
    peer: channel.peer,
    distant: true,
    send(bytes) {
      if (!channel.open) return 'closed';
      if (channel.send({ kind: 'mirror', data: null, body: bytes })) return 'sent';
      if (!looks) {
        looks = true;
        clock.after(LOOK_AGAIN_MS, look);
      }
      return 'full';
    },
    onMessage(handler) {
      channel.onFrame(({ kind, body }) => {
        if (kind === 'mirror' && body !== undefined)
          handler({ bytes: Buffer.from(body.buffer, body.byteOffset, body.byteLength), fds: [] });
        return undefined;
      });
    },
    onWritable(handler) {
      writable = handler;
    },
    onClose(handler) {
      closed = handler;
    },
    // As of a socket: our own closing is no news to us.
    close() {
      over = true;
      channel.close('the mirror ends');
    },
  };
}
