import { type StreamId, TwinlineError } from '../base/index.ts';
import type { BundleEpoch } from './protocol.ts';

const MOST_IDS = 10_000;

export function checkIds(ids: unknown): StreamId[] {
  if (!Array.isArray(ids) || ids.length > MOST_IDS || ids.some((id) => typeof id !== 'string'))
    throw new TwinlineError('bad_spec', `streams are a list of at most ${MOST_IDS} ids`);
  return ids as StreamId[];
}

export function checkEpochs(bundles: unknown): BundleEpoch[] {
  const isEpoch = (each: Partial<BundleEpoch> | null) =>
    typeof each?.bundle === 'string' && Number.isSafeInteger(each.epoch);
  if (!Array.isArray(bundles) || bundles.length > MOST_IDS || !bundles.every(isEpoch))
    throw new TwinlineError('bad_spec', `bundles are a list of at most ${MOST_IDS} bundles and epochs`);
  return bundles as BundleEpoch[];
}
