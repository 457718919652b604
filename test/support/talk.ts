import type { SrtpSuite } from '../../src/sdp/index.ts';
import type { Installation } from './installation.ts';
import { type AnswerMode, Phone, type PhoneCall, type PhoneOptions } from './phone.ts';
import { type PhoneAudio, type PhoneMediaOptions, phoneMedia } from './phone-media.ts';
import type { PhoneTransportName } from './phone-transport.ts';

export interface UserPhoneOptions {
  readonly transport?: PhoneTransportName;
  /** What it can do and offers; absent: plain RTP. */
  readonly srtp?: readonly SrtpSuite[];
  readonly answer?: AnswerMode;
  readonly media?: Omit<PhoneMediaOptions, 'address' | 'srtp'>;
  readonly phone?: Partial<PhoneOptions>;
}

/** A demo user's phone at an installation, registered. */
export async function registeredPhone(
  at: Installation,
  user: string,
  options: UserPhoneOptions = {},
): Promise<Phone> {
  const transport = options.transport ?? 'udp';
  const phone = await Phone.open({
    user,
    password: `demo-${user}`,
    domain: 'demo.twinline.test',
    transport,
    servers: [{ address: '127.0.0.1', port: at.port(transport) }],
    offer: options.srtp ?? 'plain',
    media: phoneMedia({ ...options.media, srtp: options.srtp ?? [] }),
    ...(options.answer === undefined ? {} : { answer: options.answer }),
    ...options.phone,
  });
  await phone.register();
  return phone;
}

export interface Talk {
  readonly caller: PhoneCall;
  readonly callee: PhoneCall;
}

/** One calls the other, who answers; resolves when each has heard the other. */
export async function callAndTalk(from: Phone, to: Phone, dialled = to.options.user): Promise<Talk> {
  const caller = await from.call(dialled);
  const callee = await to.incoming();
  await caller.answered();
  await callee.acknowledged();
  await hearEachOther({ caller, callee });
  return { caller, callee };
}

export const audioOf = (call: PhoneCall): PhoneAudio => call.media as PhoneAudio;

/** Each hears `packets` more of the other's, within the time. */
export async function hearEachOther(talk: Talk, packets = 10, withinMs = 5_000): Promise<void> {
  const [caller, callee] = [audioOf(talk.caller), audioOf(talk.callee)];
  await Promise.all([
    caller.heard({ packets, withinMs, from: callee.sender >>> 0 }),
    callee.heard({ packets, withinMs, from: caller.sender >>> 0 }),
  ]);
}

/** Each holds the other and takes the call up again; afterwards they hear each other. */
export async function holdEachOther(talk: Talk): Promise<void> {
  const { caller, callee } = talk;
  for (const [by, other] of [
    [caller, callee],
    [callee, caller],
  ] as const) {
    await by.hold();
    await other.event('hold', ({ type }) => type === 'held-by-peer');
    await by.resume();
  }
  await hearEachOther(talk);
}
