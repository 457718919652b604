import { setPriority } from 'node:os';

/** Above everything ordinary, below what the kernel itself needs. */
const NICE = -10;

/**
 * Puts this process before ordinary ones when the machine is busy: voice cannot wait. False where this user may not (it needs
 * CAP_SYS_NICE or RLIMIT_NICE); everything works without, with longer gaps on a full machine.
 */
export function raisePriority(): boolean {
  try {
    setPriority(NICE);
    return true;
  } catch {
    return false;
  }
}
