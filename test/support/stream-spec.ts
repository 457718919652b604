import type { BundleId, CallId, StreamId } from '../../src/base/index.ts';
import type { DtlsTerms, IceCredentials, SrtpKey, StreamCodec, StreamSpec } from '../../src/media/index.ts';

interface Wishes {
  readonly epoch?: number;
  readonly bundle?: string;
  readonly address?: string;
  readonly port?: number;
  readonly rtcpPort?: number;
  readonly rtcpMux?: boolean;
  readonly source?: string;
  readonly direction?: StreamSpec['direction'];
  readonly sendKey?: SrtpKey;
  readonly receiveKey?: SrtpKey;
  readonly ice?: IceCredentials;
  readonly dtls?: DtlsTerms;
  readonly family?: 4 | 6;
  /** Payload type of Opus; PCMU is always 0, PCMA 8. */
  readonly opus?: number;
  readonly telephoneEvent?: number;
}

/** A stream of PCMU, PCMA and, if wished, Opus and telephone events, for tests. */
export function spec(id: string, wishes: Wishes = {}): StreamSpec {
  const { port, address = '127.0.0.1', source, opus, telephoneEvent, sendKey, receiveKey } = wishes;
  const codecs: StreamCodec[] = [
    { payloadType: 0, name: 'pcmu', clockRateHz: 8000, channels: 1 },
    { payloadType: 8, name: 'pcma', clockRateHz: 8000, channels: 1 },
  ];
  if (opus !== undefined) codecs.push({ payloadType: opus, name: 'opus', clockRateHz: 48_000, channels: 2 });
  if (telephoneEvent !== undefined)
    codecs.push({ payloadType: telephoneEvent, name: 'telephone-event', clockRateHz: 8000, channels: 1 });
  return {
    id: id as StreamId,
    call: 'call' as CallId,
    bundle: (wishes.bundle ?? 'bundle0001') as BundleId,
    epoch: wishes.epoch ?? 1,
    family: wishes.family ?? 4,
    ...(port === undefined ? {} : { remote: { address, port, rtcpPort: wishes.rtcpPort ?? port + 1 } }),
    rtcpMux: wishes.rtcpMux ?? false,
    direction: wishes.direction ?? 'sendrecv',
    ...(sendKey === undefined ? {} : { sendKey }),
    ...(receiveKey === undefined ? {} : { receiveKey }),
    codecs,
    ...(wishes.ice && { ice: wishes.ice }),
    ...(wishes.dtls && { dtls: wishes.dtls }),
    ...(source === undefined ? {} : { source: source as StreamId }),
  };
}
