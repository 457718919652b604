import type { StreamCodec } from './protocol.ts';

const OPUS = 'opus';
const TELEPHONE_EVENT = 'telephone-event';

/** What the peer may send, by payload type. */
export function fillCodecTables(
  codecs: readonly StreamCodec[],
  clockRates: Int32Array,
  isTelephoneEvent: Uint8Array,
  mayCarryFec: Uint8Array,
  opaque: boolean,
): void {
  clockRates.fill(0);
  isTelephoneEvent.fill(0);
  mayCarryFec.fill(0);
  for (const codec of codecs) {
    clockRates[codec.payloadType] = codec.clockRateHz;
    isTelephoneEvent[codec.payloadType] = codec.name === TELEPHONE_EVENT ? 1 : 0;
    mayCarryFec[codec.payloadType] = codec.name === OPUS && !opaque ? 1 : 0;
  }
}

/** By payload type of the source: the sink's for the same codec. Payload types are each leg's own; codecs are not. */
export function fillPayloadTypes(
  source: readonly StreamCodec[],
  sink: readonly StreamCodec[],
  payloadTypes: Int16Array,
): void {
  payloadTypes.fill(-1);
  for (const codec of source) {
    const same = sink.filter((other) => isSameCodec(codec, other));
    const best = same.find((other) => other.fmtp === codec.fmtp) ?? same[0];
    if (best !== undefined) payloadTypes[codec.payloadType] = best.payloadType;
  }
}

const isSameCodec = (a: StreamCodec, b: StreamCodec): boolean =>
  a.name === b.name && a.clockRateHz === b.clockRateHz && a.channels === b.channels;
