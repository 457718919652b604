import type { SipHeader } from '../sip/index.ts';
import { type EndToEndRefusal, refusalTexts } from './end-to-end-rules.ts';
import type { MediaRefusal } from './terms.ts';
import type { Work } from './work.ts';

/** RFC 3261 §20.43: 399 with our own words, so that a trace says why, and the user where somebody should read it. */
export const warningOf = (work: Work, refusal: MediaRefusal): SipHeader => ({
  name: 'Warning',
  value: `399 ${work.ctx.serverName.replace(/[^\w.-]/g, '') || 'twinline'} "${wordsFor(refusal)}"`,
});

const wordsFor = (refusal: MediaRefusal): string =>
  isEndToEndRefusal(refusal) ? `${refusal}: ${refusalTexts[refusal]}` : refusal;

export const isEndToEndRefusal = (refusal: string): refusal is EndToEndRefusal =>
  Object.hasOwn(refusalTexts, refusal);
