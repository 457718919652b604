/** How a key reached us: RFC 4733 events, sound, SIP INFO. */
export type DigitForm = 'event' | 'audio' | 'info';

/** Keys counted lately: plain data, JSON. */
export interface DigitMerge {
  /** Oldest first. */
  readonly recent: { readonly digit: string; readonly beganMs: number; readonly forms: DigitForm[] }[];
}

export const newDigitMerge = (): DigitMerge => ({ recent: [] });

/**
 * One press may arrive in several forms at slightly different times: a jitter buffer, the detector's 40 ms, SIP's way. It is the same press
 * when it began within this time and the form has not told it yet; the same form twice is two presses.
 */
export const SAME_PRESS_MS = 1000;
const MOST_RECENT = 32;

/** True when the key counts, false when it was counted before in another form (CC-FLOW-22). `beganMs`: when the press began, on any one clock. */
export function countDigit(
  merge: DigitMerge,
  form: DigitForm,
  digit: string,
  beganMs: number,
  samePressMs = SAME_PRESS_MS,
): boolean {
  const { recent } = merge;
  while (
    recent[0] !== undefined &&
    (recent.length >= MOST_RECENT || recent[0].beganMs < beganMs - 2 * samePressMs)
  )
    recent.shift();
  for (const press of recent)
    if (
      press.digit === digit &&
      Math.abs(press.beganMs - beganMs) <= samePressMs &&
      !press.forms.includes(form)
    ) {
      press.forms.push(form);
      return false;
    }
  recent.push({ digit, beganMs, forms: [form] });
  return true;
}
