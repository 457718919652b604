import { type Random, randomText } from './random.ts';

declare const brand: unique symbol;
/** A string that cannot be mixed up with another kind of string. */
export type Brand<Name extends string> = string & { readonly [brand]: Name };

export type AccountId = Brand<'AccountId'>;
export type UserId = Brand<'UserId'>;
export type DeviceId = Brand<'DeviceId'>;
/** Our own id of a call, one for all its legs. Not SIP's Call-ID, which each leg has of its own. */
export type CallId = Brand<'CallId'>;
export type LegId = Brand<'LegId'>;
/** Ten characters of base 32, never used twice. Calls live in bundles; a bundle has one owner. */
export type BundleId = Brand<'BundleId'>;
export type StreamId = Brand<'StreamId'>;
/** A client's connection (or UDP address pair) at one edge. */
export type FlowId = Brand<'FlowId'>;
export type ZoneId = Brand<'ZoneId'>;
export type SwitchId = Brand<'SwitchId'>;
export type MediaId = Brand<'MediaId'>;
export type EdgeId = Brand<'EdgeId'>;

export const BUNDLE_ID_LENGTH = 10;

export const newBundleId = (random: Random): BundleId => randomText(random, BUNDLE_ID_LENGTH) as BundleId;
export const newCallId = (random: Random): CallId => randomText(random, 16) as CallId;
export const newStreamId = (random: Random): StreamId => randomText(random, 16) as StreamId;
