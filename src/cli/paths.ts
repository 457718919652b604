import { join } from 'node:path';

/** Where things lie in an installation's data directory. Socket names are short: Linux allows 107 bytes for the whole path. */
export const runDir = (data: string): string => join(data, 'run');
export const logDir = (data: string): string => join(data, 'log');
export const keyDir = (data: string): string => join(data, 'keys');
export const tlsDir = (data: string): string => join(data, 'tls');

export const planFile = (data: string): string => join(runDir(data), 'plan.json');
export const controlSocket = (data: string): string => join(runDir(data), 'control.sock');
export const launcherSocket = (data: string): string => join(runDir(data), 'launcher.sock');
export const edgeSocket = (data: string, id: string): string => join(runDir(data), `edge-${id}.sock`);
export const zoneSocket = (data: string, id: string): string => join(runDir(data), `zone-${id}.sock`);
export const switchSocket = (data: string, id: string): string => join(runDir(data), `switch-${id}.sock`);
export const mediaSocket = (data: string, id: string): string => join(runDir(data), `media-${id}.sock`);
/** Where a media process stands by for its twin. */
export const mirrorSocket = (data: string, id: string): string => join(runDir(data), `mirror-${id}.sock`);

/** Prompts and music: files that `plays` names. */
export const assetDir = (data: string): string => join(data, 'assets');
export const databaseFile = (data: string): string => join(data, 'twinline.db');
/** Signs tokens and nonces; shared by the pair. */
export const pairSecretFile = (data: string): string => join(keyDir(data), 'pair.secret');
/** Wraps the keys of calls; shared by the pair. */
export const pairKeyFile = (data: string): string => join(keyDir(data), 'pair.key');
/** What DTLS-SRTP shows to phones and browsers; shared by the pair. Two, so that a second handshake of a call can show the other. */
export const dtlsCertificateFiles = (data: string): readonly { certificate: string; key: string }[] =>
  ['dtls', 'dtls-2'].map((name) => ({
    certificate: join(keyDir(data), `${name}.crt`),
    key: join(keyDir(data), `${name}.key`),
  }));
/** By what data centres know each other: `ca.crt`, `dc.crt`, `dc.key`. */
export const dcCertificateDir = (data: string): string => join(tlsDir(data), 'dc');
/** By what machines know each other: `ca.crt`, `machine.crt`, `machine.key`. */
export const machineCertificateDir = (data: string): string => join(tlsDir(data), 'machine');
export const certificateFile = (data: string): string => join(tlsDir(data), 'sip.crt');
export const certificateKeyFile = (data: string): string => join(tlsDir(data), 'sip.key');
