import type { MediaDescription, SdpAttribute } from './description.ts';

/**
 * `a=sframe` marks a medium whose author wants frames that are encrypted end to end, by SFrame (RFC 9605) or as the two clients agree
 * (draft-ietf-avtcore-rtp-sframe). Beside it clients may write attributes of their own that begin with `sframe-`: public keys, versions,
 * whatever makes both show the same short code. Neither is for us to read.
 */
const MARK = 'sframe';

/** What a call keeps of them; more is no key agreement but a burden. */
export const SFRAME_LIMITS = { attributes: 8, characters: 4_096 } as const;

/** The mark and what belongs to it, in their order, to be said to the other end as they came. Undefined: not marked. */
export function sframeOf(media: MediaDescription): readonly SdpAttribute[] | undefined {
  const found = media.attributes.filter(({ name }) => name === MARK || name.startsWith(`${MARK}-`));
  return found.some(({ name }) => name === MARK) ? found : undefined;
}

export function isSframeTooLong(attributes: readonly SdpAttribute[]): boolean {
  const characters = attributes.reduce((sum, { name, value = '' }) => sum + name.length + value.length, 0);
  return attributes.length > SFRAME_LIMITS.attributes || characters > SFRAME_LIMITS.characters;
}

/** Whether both say the same: a new key is another wish. */
export const sameSframe = (
  one: readonly SdpAttribute[] | undefined,
  other: readonly SdpAttribute[] | undefined,
): boolean =>
  one?.length === other?.length &&
  (one ?? []).every(({ name, value }, at) => name === other?.[at]?.name && value === other[at]?.value);
