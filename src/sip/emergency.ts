/** Users and URNs of a Request-URI that make an emergency call, unless an installation says otherwise. */
export const EMERGENCY_NUMBERS: readonly string[] = ['112', '911', '999', 'urn:service:sos'];

/** `sip:112@host`, `tel:112;phone-context=…`, `urn:service:sos.police` (RFC 5031). */
export function isEmergencyUri(uri: string, numbers: ReadonlySet<string>): boolean {
  const lower = uri.toLowerCase();
  const number = /^(?:sips?|tel):([^@;:?]+)/.exec(lower)?.[1];
  if (number !== undefined) return numbers.has(number);
  for (const known of numbers) if (lower === known || lower.startsWith(`${known}.`)) return true;
  return false;
}
