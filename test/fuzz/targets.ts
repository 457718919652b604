import { dtlsTargets } from './dtls.ts';
import { rtpTargets } from './rtp.ts';
import { sdpTargets } from './sdp.ts';
import { sipTargets } from './sip.ts';
import { stunTargets } from './stun.ts';
import type { FuzzTarget } from './target.ts';

/** Every target of `scripts/fuzz`. A room adds its own in a file beside this one. */
export const targets: readonly FuzzTarget[] = [
  ...sipTargets,
  ...sdpTargets,
  ...rtpTargets,
  ...stunTargets,
  ...dtlsTargets,
];
