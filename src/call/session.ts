import { DEFAULT_SESSION_SEC, MIN_SE_FLOOR_SEC, type SessionTimerPolicy } from '../sip/index.ts';

/** RFC 4028 on each leg by itself. */
export const SESSION_POLICY: SessionTimerPolicy = {
  intervalSec: DEFAULT_SESSION_SEC,
  minSec: MIN_SE_FLOOR_SEC,
};
