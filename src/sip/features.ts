/** A client whose Contact says so can encrypt its media end to end. In the global tree of RFC 2506, as RFC 3840 §9 spells it in a Contact. */
export const END_TO_END_FEATURE = '+g.twinline.e2ee';

/**
 * Whether a Contact's parameters (names in lower case, values as they came) say that the client has a feature (RFC 3840 §9): without a
 * value, or with one that holds TRUE and no negation of it.
 */
export function hasFeature(
  params: Readonly<Record<string, string | true | undefined>>,
  feature: string,
): boolean {
  const value = params[feature];
  if (value === undefined) return false;
  if (value === true) return true;
  const said = value.replace(/^"|"$/g, '').split(',');
  return said.some((one) => one.trim().toUpperCase() === 'TRUE');
}
