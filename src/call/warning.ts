import { header, type SipHeader, type SipResponse } from '../sip/index.ts';
import { type EndToEndRefusal, refusalTexts } from './end-to-end-rules.ts';
import type { Leg } from './model.ts';
import type { MediaRefusal } from './terms.ts';
import type { Work } from './work.ts';

/** RFC 3261 §20.43: 399 with our own words, so that a trace says why, and the user where somebody should read it. */
export const warningOf = (work: Work, refusal: MediaRefusal): SipHeader => ({
  name: 'Warning',
  value: `399 ${work.ctx.serverName.replace(/[^\w.-]/g, '') || 'twinline'} "${wordsFor(refusal)}"`,
});

/** Why another data centre refused, where that is of the end-to-end encryption: it is said on to the phone here. */
export function refusalBehind(
  { trunk }: Leg,
  response: SipResponse | undefined,
): EndToEndRefusal | undefined {
  if (trunk === undefined || response?.status !== 488) return undefined;
  const [, code = ''] = /^399 \S{1,64} "(\w{1,32}): /.exec(header(response, 'Warning') ?? '') ?? [];
  return isEndToEndRefusal(code) ? code : undefined;
}

const wordsFor = (refusal: MediaRefusal): string =>
  isEndToEndRefusal(refusal) ? `${refusal}: ${refusalTexts[refusal]}` : refusal;

export const isEndToEndRefusal = (refusal: string): refusal is EndToEndRefusal =>
  Object.hasOwn(refusalTexts, refusal);
