import {
  attributeOf,
  type MediaDescription,
  type SdpAttribute,
  type SessionDescription,
} from './description.ts';

/** The lines that share one transport, by their `a=mid` in the group's order (RFC 9143). */
export type BundleGroup = readonly string[];

/** RFC 5888 §4: a token. Longer ones are nobody's. */
const MID = /^[!#$%&'*+.^_`{|}~0-9A-Za-z-]{1,64}$/;
const MAX_GROUPS = 8;

export function midOf(media: MediaDescription): string | undefined {
  const value = attributeOf(media, 'mid')?.value;
  return value !== undefined && MID.test(value) ? value : undefined;
}

export function bundleGroupsOf(sd: SessionDescription): BundleGroup[] {
  const groups: BundleGroup[] = [];
  for (const { name, value } of sd.attributes) {
    if (name !== 'group' || value === undefined || groups.length === MAX_GROUPS) continue;
    const [semantics, ...mids] = value.split(/[ \t]+/, 65);
    if (semantics === 'BUNDLE') groups.push(mids.filter((mid) => MID.test(mid)));
  }
  return groups;
}

/** The line whose transport holds for all of the group that `media` is in: the first in use (RFC 9143 §7.2). */
export function taggedLineOf(sd: SessionDescription, media: MediaDescription): MediaDescription | undefined {
  const mid = midOf(media);
  if (mid === undefined) return undefined;
  const group = bundleGroupsOf(sd).find((mids) => mids.includes(mid));
  const [first] = (group ?? [])
    .map((one) => sd.media.find((line) => midOf(line) === one && line.port !== 0))
    .filter((line) => line !== undefined);
  return first === media ? undefined : first;
}

/** RFC 9143 §6: port 0 means "only within the bundle" here, not "refused". */
export const isBundleOnly = (sd: SessionDescription, media: MediaDescription): boolean =>
  media.port === 0 &&
  attributeOf(media, 'bundle-only') !== undefined &&
  taggedLineOf(sd, media) !== undefined;

/** The offered groups with what is left of them when only these lines are taken (RFC 9143 §7.3). */
export function answerGroups(offer: SessionDescription, taken: readonly string[]): SdpAttribute[] {
  return bundleGroupsOf(offer)
    .map((mids) => mids.filter((mid) => taken.includes(mid)))
    .filter((mids) => mids.length > 0)
    .map(bundleAttribute);
}

export const bundleAttribute = (mids: BundleGroup): SdpAttribute => ({
  name: 'group',
  value: `BUNDLE ${mids.join(' ')}`,
});
