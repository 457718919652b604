import type { StreamId } from '../../base/index.ts';
import type { StreamSpec } from '../protocol.ts';
import type { Stream } from '../stream.ts';
import type { Detecting } from './detecting.ts';
import type { Mouth } from './mouth.ts';
import type { Playing } from './playing.ts';
import type { Programme } from './programme.ts';
import type { Room } from './room.ts';
import type { Taps } from './taps.ts';

/** What the audio plane has for one stream. */
export interface Part {
  readonly stream: Stream;
  /** The spec that it was made from. */
  spec: StreamSpec;
  /** Streams whose ears it needs, whatever they send. */
  needs: readonly StreamId[];
  /** All whose ears it has at the moment, also what it only transcodes. */
  listensTo: ReadonlySet<StreamId>;
  mouth?: Mouth | undefined;
  programme?: Programme | undefined;
  /** Whose packets it transcodes where they cannot be passed on. */
  transcodes?: StreamId | undefined;
  playing?: Playing | undefined;
  room?: Room | undefined;
  detecting?: Detecting | undefined;
  taps?: Taps | undefined;
}

/** Whether anything of the stream has to do with decoded audio, its codecs apart. */
export const wantsPlane = ({ hears, room, plays, detects, taps }: StreamSpec): boolean =>
  (hears !== undefined && hears.length > 0) ||
  room !== undefined ||
  plays !== undefined ||
  detects !== undefined ||
  (taps !== undefined && taps.length > 0);
