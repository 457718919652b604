import { failed, ok, type Result, randomText } from '../base/index.ts';
import type { DtlsTerms, IceCredentials } from '../media/index.ts';
import {
  type AudioDescription,
  type DtlsDescription,
  type DtlsRole,
  isDtlsProfile,
  type LocalAudio,
  roleForAnswer,
  roleFromAnswer,
  sameFingerprints,
} from '../sdp/index.ts';
import type { DtlsMedia, Leg, LegMedia } from './model.ts';
import type { MediaRefusal } from './terms.ts';
import type { Work } from './work.ts';

/*
 * What browsers want of a leg: keys by DTLS-SRTP (RFC 5763, 8842), a path by ICE (RFC 8839), of which we are the lite side. Phones with
 * DTLS and without ICE are served as well.
 */

/**
 * Whether our first offer is for a browser: its device's profile says so, or it registered over WebSocket with a Contact below
 * `.invalid`, as only those do that do not know their own address (RFC 7118 §5.2).
 */
export function offersWebrtc({ mediaPolicy, flow, target, dialog }: Leg): boolean {
  if (mediaPolicy.webrtc !== undefined) return mediaPolicy.webrtc;
  if (mediaPolicy.profile === 'browser') return true;
  const contact = target?.contact ?? dialog?.remoteTarget ?? '';
  return (
    (flow.transport === 'ws' || flow.transport === 'wss') && /@[^@;>?]*\.invalid(?:[:;>?]|$)/i.test(contact)
  );
}

/** RFC 8445 §5.3 asks for 24 and 128 bits: 40 and 130 are these. */
export const newIce = (work: Work): IceCredentials => ({
  localUfrag: randomText(work.ctx.random, 8),
  localPassword: randomText(work.ctx.random, 26),
});

/** RFC 8842 §4: at least 120 bits, 20 characters at least. */
export const newTlsId = (work: Work): string => randomText(work.ctx.random, 26);

/** Before the peer's half is known: the stream is secured from its opening on, and its checks are answered. */
export function dtlsTermsOf({ dtls, ice, association, renewal }: LegMedia): DtlsTerms | undefined {
  if (dtls === undefined && ice === undefined) return undefined;
  const number = association === undefined ? {} : { association };
  // While a new association is on offer the peer's answer to it is not known.
  if (dtls === undefined || renewal !== undefined) return { role: 'passive', fingerprints: [], ...number };
  return { role: dtls.role, fingerprints: dtls.fingerprints, ...number };
}

/** What our description says of it, but for `a=setup`. Fails where media has no certificate. */
export function localTransport(
  { opened, ice }: LegMedia,
  setup: NonNullable<LocalAudio['dtls']>['setup'],
  tlsId: string | undefined,
): Result<Pick<LocalAudio, 'ice' | 'dtls'>, MediaRefusal> {
  if (opened?.fingerprint === undefined) return failed('dtls');
  return ok({
    dtls: { fingerprint: opened.fingerprint, setup, ...(tlsId === undefined ? {} : { tlsId }) },
    ...(ice === undefined ? {} : { ice: { ufrag: ice.localUfrag, password: ice.localPassword } }),
  });
}

/** Takes the peer's half from its offer: our role, and credentials of our own where it begins a generation of ICE (RFC 8839 §4.4.3). */
export function takeOfferedTransport(
  work: Work,
  media: LegMedia,
  audio: AudioDescription,
  offered: DtlsDescription,
): void {
  const goesOn = media.renewal === undefined && isSameAssociation(media.dtls, offered);
  const role = roleForAnswer(offered, goesOn ? media.dtls?.role : undefined);
  const tlsId = goesOn ? media.dtls?.tlsId : undefined;
  media.dtls = dtlsMedia(audio, offered, role, offered.tlsId && (tlsId ?? newTlsId(work)));
  const { ice } = audio;
  if (ice === undefined || ice.lite) {
    // Two lite agents make no checks: without our half the peer sends to the addresses that were said (RFC 8839 §4.2.3).
    delete media.ice;
    return;
  }
  const isNew =
    media.ice?.remoteUfrag !== undefined &&
    (media.ice.remoteUfrag !== ice.ufrag || media.ice.remotePassword !== ice.password);
  const own = media.ice === undefined || isNew || media.renewal !== undefined ? newIce(work) : media.ice;
  media.ice = { ...own, remoteUfrag: ice.ufrag, remotePassword: ice.password };
}

/** Takes the peer's half from its answer to an offer of ours that asked for DTLS. */
export function takeAnsweredTransport(
  media: LegMedia,
  audio: AudioDescription,
  ownTlsId: string,
): Result<undefined, MediaRefusal> {
  const { dtls, ice } = audio;
  if (dtls === undefined || !isDtlsProfile(audio.profile)) return failed('bad_answer');
  const role = roleFromAnswer(dtls);
  if (!role.ok) return role;
  media.dtls = dtlsMedia(audio, dtls, role.value, ownTlsId);
  if (media.ice === undefined || ice === undefined || ice.lite) delete media.ice;
  else media.ice = { ...media.ice, remoteUfrag: ice.ufrag, remotePassword: ice.password };
  return ok(undefined);
}

function dtlsMedia(
  { profile }: AudioDescription,
  { fingerprints, tlsId: peerTlsId }: DtlsDescription,
  role: DtlsRole,
  tlsId: string | undefined,
): DtlsMedia {
  return {
    role,
    fingerprints,
    profile,
    ...(tlsId === undefined ? {} : { tlsId }),
    ...(peerTlsId === undefined ? {} : { peerTlsId }),
  };
}

/** RFC 8842 §4: another fingerprint, or another `a=tls-id`, is another association. */
function isSameAssociation(known: DtlsMedia | undefined, said: DtlsDescription): boolean {
  return (
    known !== undefined &&
    sameFingerprints(known.fingerprints, said.fingerprints) &&
    known.peerTlsId === said.tlsId
  );
}
