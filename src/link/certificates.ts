import type { DetailedPeerCertificate, PeerCertificate, TLSSocket } from 'node:tls';

/**
 * PEM texts. The certificate's name is `role:id`, as its CN or as a SAN `URI:twinline:role:id`; the installation's own `ca`
 * signs all of them, and no other is believed (TR-MEDIA-04).
 */
export interface LinkCredentials {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export const TLS13 = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' } as const;

/** Why the other end's certificate is not believed, with the date if that is why (TR-MEDIA-12); undefined: it is. */
export function wrongCertificate(socket: TLSSocket, utcMs: number): string | undefined {
  const certificate = socket.getPeerCertificate();
  const { valid_from: from, valid_to: to } = certificate ?? {};
  if (to === undefined) return 'no certificate was shown';
  const name = namesOf(certificate).join(', ') || 'nobody';
  // A resumed session would be believed without a second look.
  if (!(utcMs < Date.parse(to))) return `the certificate for ${name} expired on ${dateOf(to)}: renew it`;
  if (utcMs < Date.parse(from)) return `the certificate for ${name} holds only from ${dateOf(from)} on`;
  // Node gives OpenSSL's code, or the sentence of our own check of the name.
  const error = socket.authorizationError as unknown as string | undefined;
  if (socket.authorized) return undefined;
  return /^[A-Z_]+$/.test(error ?? '')
    ? `the certificate for ${name} is not believed: ${error?.toLowerCase().replaceAll('_', ' ')}`
    : (error ?? 'the certificate is not believed');
}

const dateOf = (text: string): string => new Date(text).toISOString().replace('.000', '');

/** The names `role:id` that a certificate bears. */
export function namesOf(certificate: PeerCertificate | DetailedPeerCertificate): string[] {
  const names: string[] = [];
  const { CN } = certificate.subject ?? {};
  if (typeof CN === 'string') names.push(CN);
  // Node quotes entries that could be mistaken; a quoted one is never ours.
  for (const entry of certificate.subjectaltname?.split(', ') ?? []) {
    if (entry.startsWith('URI:twinline:')) names.push(entry.slice('URI:twinline:'.length));
  }
  return names;
}

export const mismatch = (wanted: string, names: readonly string[]): string =>
  `the certificate is for ${names.join(', ') || 'nobody'}, not for ${wanted}`;

/** For `tls.connect`: whether the server bears the name that is meant. The name is pinned to the installation's own CA, not to DNS. */
export const checkName =
  (expected: string) =>
  (_host: string, certificate: PeerCertificate): Error | undefined => {
    const names = namesOf(certificate);
    return names.includes(expected) ? undefined : new Error(mismatch(expected, names));
  };
