import type { PhoneCall } from '../support/phone.ts';
import type { SimStream } from './media.ts';
import type { SimPhoneMedia } from './phones.ts';
import type { World } from './world.ts';

/**
 * Whether what `from` says reaches `to`'s ear now: each phone sends to a stream that a living media process carries, and the stream that
 * faces the listener sends that one's audio to where the listener's phone listens.
 */
export function hears(world: World, to: PhoneCall, from: PhoneCall): boolean {
  const ear = to.media as SimPhoneMedia | undefined;
  const mouth = from.media as SimPhoneMedia | undefined;
  if (ear?.remote === undefined || mouth?.remote === undefined) return false;
  const facingMouth = streamAt(world, mouth.remote.port);
  const facingEar = streamAt(world, ear.remote.port);
  if (facingMouth === undefined || facingEar === undefined) return false;
  const arrives =
    facingEar.spec.remote?.address === ear.local.address && facingEar.spec.remote.port === ear.local.port;
  const flows = facingEar.spec.source === facingMouth.spec.id;
  const may =
    mouth.sends &&
    ear.receives &&
    (facingMouth.spec.direction === 'sendrecv' || facingMouth.spec.direction === 'sendonly') &&
    (facingEar.spec.direction === 'sendrecv' || facingEar.spec.direction === 'recvonly');
  return arrives && flows && may;
}

/** The streams of every living media process that sits at that port: more than one is a broken promise. */
export function streamAt(world: World, port: number): SimStream | undefined {
  const found = [...world.media.values()]
    .filter((media) => media.process.alive && !media.process.frozen)
    .flatMap((media) => [...media.streams.values()])
    .filter((stream) => stream.opened.port === port);
  if (found.length > 1) throw new Error(`two media processes hold port ${port}`);
  return found[0];
}
