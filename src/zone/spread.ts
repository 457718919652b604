import type { BundleId } from '../base/index.ts';
import type { Child } from './children.ts';

/** Deals bundles out evenly, the least busy switch first, so that adopters share a dead switch's load. */
export function spreadBundles(
  bundles: readonly BundleId[],
  live: readonly Child[],
): { child: Child; share: BundleId[] }[] {
  const shares = [...live]
    .sort((a, b) => (a.stats.calls ?? 0) - (b.stats.calls ?? 0))
    .map((child) => ({ child, share: [] as BundleId[] }));
  bundles.forEach((bundle, index) => {
    shares[index % shares.length]?.share.push(bundle);
  });
  return shares.filter(({ share }) => share.length > 0);
}
