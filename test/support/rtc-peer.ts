import wrtc from '@roamhq/wrtc';
import type { Fingerprint, IceCredentials } from '../../src/media/index.ts';
import { type Beat, everyMs } from './pacer.ts';
import { toneOf } from './tone.ts';

const RATE_HZ = 48_000;
const FRAMES = 480;
/** The ear listens at 8 kHz. */
const EVERY = RATE_HZ / 8000;
const HEARD_SAMPLES = 1600;

type Track = ReturnType<InstanceType<typeof wrtc.nonstandard.RTCAudioSource>['createTrack']>;

/** Where and by what credentials a peer reaches us. */
export interface OurSide {
  readonly address: string;
  readonly port: number;
  readonly ice: IceCredentials;
  readonly fingerprint: Fingerprint;
  readonly setup: 'active' | 'passive' | 'actpass';
}

/** libwebrtc with one Opus line: it says a tone, and knows which tone it hears. */
export class RtcPeer {
  readonly connection = new wrtc.RTCPeerConnection();
  readonly states: string[] = [];
  readonly #source = new wrtc.nonstandard.RTCAudioSource();
  readonly #beat: Beat;
  readonly #track: Track;
  #sink: InstanceType<typeof wrtc.nonstandard.RTCAudioSink> | undefined;
  #heard: number[] = [];
  #watchers: { readonly toneHz: number; readonly resolve: () => void }[] = [];
  #sample = 0;

  constructor(toneHz: number) {
    this.#track = this.#source.createTrack();
    this.connection.addTrack(this.#track);
    // Events may come late: what the state is then is what counts.
    this.connection.addEventListener('connectionstatechange', () => {
      const { connectionState } = this.connection;
      if (this.states.at(-1) !== connectionState) this.states.push(connectionState);
    });
    this.connection.addEventListener('track', (event: { track: Track }) => {
      this.#sink = new wrtc.nonstandard.RTCAudioSink(event.track);
      this.#sink.ondata = (data: { samples: Int16Array }) => this.#hear(data.samples);
    });
    const samples = new Int16Array(FRAMES);
    this.#beat = everyMs(10, () => {
      for (let i = 0; i < FRAMES; i++)
        samples[i] = 8000 * Math.sin((2 * Math.PI * toneHz * this.#sample++) / RATE_HZ);
      this.#source.onData({
        samples,
        sampleRate: RATE_HZ,
        bitsPerSample: 16,
        channelCount: 1,
        numberOfFrames: FRAMES,
      });
    });
  }

  /** Its offer's SDP. */
  async offer(options: { iceRestart?: boolean } = {}): Promise<string> {
    const { sdp } = await this.connection.createOffer(options);
    await this.connection.setLocalDescription({ type: 'offer', sdp: sdp! });
    return sdp!;
  }

  async takeAnswer(ours: OurSide): Promise<void> {
    await this.connection.setRemoteDescription({ type: 'answer', sdp: sdpOf(ours) });
  }

  /** We offer; its answer's SDP. */
  async answerTo(ours: OurSide): Promise<string> {
    await this.connection.setRemoteDescription({ type: 'offer', sdp: sdpOf(ours) });
    const { sdp } = await this.connection.createAnswer();
    await this.connection.setLocalDescription({ type: 'answer', sdp: sdp! });
    return sdp!;
  }

  /** Resolves when 0.2 s of that tone, heard from now on, came in a row. */
  hears(toneHz: number): Promise<void> {
    this.#heard = [];
    return new Promise((resolve) => this.#watchers.push({ toneHz, resolve }));
  }

  /** The name of the pair of candidates that it uses; another after each restart of ICE. */
  async selectedPair(): Promise<string | undefined> {
    const stats = await this.connection.getStats();
    const transport = [...stats.values()].find(({ type }) => type === 'transport');
    return transport?.selectedCandidatePairId;
  }

  close(): void {
    this.#beat.stop();
    this.#sink?.stop();
    this.#track.stop();
    this.connection.close();
  }

  #hear(samples: Int16Array): void {
    for (let i = 0; i < samples.length; i += EVERY) this.#heard.push(samples[i]!);
    if (this.#heard.length < HEARD_SAMPLES) return;
    const tone = toneOf(this.#heard.splice(0));
    this.#watchers = this.#watchers.filter(({ toneHz, resolve }) => {
      if (toneHz === tone) resolve();
      return toneHz !== tone;
    });
  }
}

/** The peer's half, out of its SDP. */
export const iceOf = (sdp: string) => ({
  remoteUfrag: attribute(sdp, 'ice-ufrag'),
  remotePassword: attribute(sdp, 'ice-pwd'),
});

export function fingerprintOf(sdp: string): Fingerprint {
  const [hash = '', value = ''] = attribute(sdp, 'fingerprint').split(' ');
  return { hash, value };
}

export const attribute = (sdp: string, name: string): string =>
  new RegExp(`^a=${name}:(.*?)\r?$`, 'm').exec(sdp)?.[1] ?? '';

let version = 0;
const sdpOf = ({ address, port, ice, fingerprint, setup }: OurSide): string =>
  [
    'v=0',
    `o=- 1 ${++version} IN IP4 127.0.0.1`,
    's=-',
    't=0 0',
    'a=ice-lite',
    'a=group:BUNDLE 0',
    `m=audio ${port} UDP/TLS/RTP/SAVPF 111`,
    `c=IN IP4 ${address}`,
    'a=mid:0',
    'a=rtcp-mux',
    'a=sendrecv',
    `a=setup:${setup}`,
    `a=ice-ufrag:${ice.localUfrag}`,
    `a=ice-pwd:${ice.localPassword}`,
    `a=fingerprint:${fingerprint.hash} ${fingerprint.value}`,
    'a=rtpmap:111 opus/48000/2',
    `a=candidate:1 1 udp 2130706431 ${address} ${port} typ host`,
    'a=end-of-candidates',
    '',
  ].join('\r\n');
