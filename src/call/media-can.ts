import { failed, ok, type Result } from '../base/index.ts';
import type { MediaCapability } from '../media/index.ts';
import { answerCrypto, type CryptoLine, offerCrypto, type SrtpSuite } from '../sdp/index.ts';
import type { LegMedia } from './model.ts';
import type { MediaRefusal } from './terms.ts';
import type { Work } from './work.ts';

/** Whether media can do that where a stream would be opened now. A call is negotiated without what it cannot do, or refused. */
export const mediaCan = ({ ctx }: Work, capability: MediaCapability): boolean =>
  ctx.mediaCapabilities?.includes(capability) ?? true;

/** Lines for an offer: under the keys that media sends under where it makes them itself, else under fresh ones. */
export function keysToOffer(work: Work, { opened }: LegMedia, order: readonly SrtpSuite[]): CryptoLine[] {
  const made = opened?.sendKeys;
  if (made === undefined) return offerCrypto(order, work.ctx.random);
  return order
    .flatMap((suite) => made.find((key) => key.suite === suite) ?? [])
    .map(({ suite, keySalt }, at) => ({ tag: at + 1, suite, keySalt }));
}

/** Our line that answers the one taken. */
export function keyToAnswer(
  work: Work,
  { opened }: LegMedia,
  taken: CryptoLine,
): Result<CryptoLine, MediaRefusal> {
  const made = opened?.sendKeys;
  if (made === undefined) return ok(answerCrypto(taken, work.ctx.random));
  const key = made.find(({ suite }) => suite === taken.suite);
  return key === undefined ? failed('no_common_suite') : ok({ ...key, tag: taken.tag });
}
