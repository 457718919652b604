import type { BundleId, CallId, StreamId } from '../base/index.ts';
import { parseAddress } from '../native/index.ts';
import { createSrtpSender, writeRtpHeader } from '../rtp/index.ts';
import { applySpec } from './apply-spec.ts';
import { StreamGraph } from './graph.ts';
import type { StreamSpec } from './protocol.ts';
import { Relay } from './relay.ts';
import { Stream } from './stream.ts';
import { prepare } from './take-over.ts';

const PACKETS = 2000;

/**
 * Runs the packet path on packets of nobody, so that it is compiled before the first call, and before a take-over, whose first
 * packets would else be the slowest. Some ten milliseconds.
 */
export function warmUp(nowMs: number): void {
  const from = parseAddress('127.0.0.1', 9)!;
  // Nothing is secret about this key: nothing is sent.
  const key = { suite: 'AEAD_AES_256_GCM', keySalt: Buffer.alloc(44, 1).toString('base64') } as const;
  for (const secured of [false, true]) {
    const spec = (id: string, source: string): StreamSpec => ({
      id: id as StreamId,
      call: 'warm-up' as CallId,
      bundle: 'warm-up' as BundleId,
      epoch: 0,
      family: 4,
      remote: { address: '127.0.0.1', port: 9, rtcpPort: 10 },
      rtcpMux: false,
      direction: 'sendrecv',
      codecs: [{ payloadType: 0, name: 'pcmu', clockRateHz: 8000, channels: 1 }],
      source: source as StreamId,
      ...(secured ? { sendKey: key, receiveKey: key } : {}),
    });
    const graph = new StreamGraph();
    const pair = [spec('a', 'b'), spec('b', 'a')].map((each, i) => {
      const stream = new Stream(each, { address: '127.0.0.1', port: 2 * i }, undefined, i, nowMs);
      applySpec(stream, each, nowMs, true);
      graph.connect(stream);
      return stream;
    });
    const relay = new Relay({ send() {}, commit: () => true, note() {}, event() {} });
    const phone = secured ? createSrtpSender(key) : undefined;
    const packet = Buffer.alloc(512);
    for (let i = 0; i < PACKETS; i++) {
      writeRtpHeader(packet, 0, false, i, i * 160, 7);
      const length = phone === undefined ? 172 : phone.protectRtpAt(packet, 172, i);
      relay.receive(pair[0]!, false, packet, length, from, nowMs + i * 20);
    }
    for (const stream of pair) {
      prepare(stream, nowMs);
      graph.remove(stream);
      stream.sender?.close();
      stream.receiver?.close();
    }
    phone?.close();
  }
}
