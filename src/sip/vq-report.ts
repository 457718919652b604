import { failed, ok, type Result } from '../base/index.ts';

/** What a phone says of a call's quality by its own measuring (RFC 6035 §4): shares from 0 to 1, dBm0, ms. Plain data, JSON. */
export interface VqReport {
  /** At the end of the call, in its middle, or since a threshold was crossed. */
  readonly kind: 'session' | 'interval' | 'alert';
  /** Of the phone's own dialog. */
  readonly sipCallId: string;
  readonly startUtcMs?: number;
  readonly stopUtcMs?: number;
  readonly codec?: string;
  readonly lost?: number;
  /** Came too late for its jitter buffer, and how long that waits. */
  readonly discarded?: number;
  readonly jitterBufferMs?: number;
  readonly jitterMs?: number;
  readonly roundTripMs?: number;
  readonly endSystemDelayMs?: number;
  readonly signalDbm0?: number;
  readonly noiseDbm0?: number;
  /** Conversational and listening: 0 to 120, 1 to 5. */
  readonly rFactor?: number;
  readonly rFactorLq?: number;
  readonly mosCq?: number;
  readonly mosLq?: number;
  readonly algorithm?: string;
  /** What the client tells of its user's things, in a line of ours: `X-Device:MIC="…" HEADSET="…" ISP="…"` (PH-QOS-02). */
  readonly microphone?: string;
  readonly headset?: string;
  readonly isp?: string;
}

export const VQ_EVENT = 'vq-rtcpxr';
export const VQ_TYPE = 'application/vq-rtcpxr';
export const VQ_LIMITS = { bodyBytes: 8_192, lines: 100, text: 80, callId: 256 } as const;

const KINDS: Readonly<Record<string, VqReport['kind']>> = {
  vqsessionreport: 'session',
  vqintervalreport: 'interval',
  vqalertreport: 'alert',
};

/**
 * Reads a body of type application/vq-rtcpxr. What the other end measured (`RemoteMetrics`) is left to that end. Figures out of their range and lines
 * that are unknown are left out; without a kind and a Call-ID it is no report. Never throws.
 */
export function parseVqReport(body: string): Result<VqReport, string> {
  if (body.length > VQ_LIMITS.bodyBytes) return failed('the report is too long');
  const lines = body.split(/\r\n|\n|\r/, VQ_LIMITS.lines);
  const kind = KINDS[nameOf(lines[0] ?? '')];
  if (kind === undefined) return failed('the first line names no report of RFC 6035');
  const said = new Map<string, string>();
  let isRemote = false;
  for (const line of lines.slice(1)) {
    const name = nameOf(line);
    if (name === 'remotemetrics') isRemote = true;
    else if (name === 'localmetrics') isRemote = false;
    // The dialog and lines like ours may stand behind the other end's figures.
    if (!isRemote || name === 'x-device' || name === 'callid')
      if (!said.has(name)) said.set(name, line.slice(line.indexOf(':') + 1).trim());
  }
  const sipCallId = said.get('callid') ?? '';
  if (sipCallId === '' || sipCallId.length > VQ_LIMITS.callId || /\s/.test(sipCallId))
    return failed('the report names no call');
  const figures = {
    ...timesOf(valuesOf(said.get('timestamps'))),
    ...networkOf(said),
    ...soundOf(said),
    ...deviceOf(valuesOf(said.get('x-device'))),
  };
  return ok({ kind, sipCallId, ...withoutUndefined(figures) });
}

const nameOf = (line: string): string => {
  const colon = line.indexOf(':');
  return (colon < 0 ? line : line.slice(0, colon)).trim().toLowerCase();
};

type Values = ReadonlyMap<string, string>;

/** `A=1 B="two words"`; names in capitals. */
function valuesOf(text = ''): Values {
  const values = new Map<string, string>();
  for (const [, name, quoted, bare] of text.matchAll(/([\w.-]{1,32})=(?:"([^"]{0,1024})"|([^\s;]{0,256}))/g))
    values.set(name!.toUpperCase(), quoted ?? bare ?? '');
  return values;
}

function timesOf(values: Values) {
  const utcMs = (name: string): number | undefined => {
    const text = values.get(name) ?? '';
    // RFC 3339, which Date reads; other forms of it differ from engine to engine.
    const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(text) ? Date.parse(text) : Number.NaN;
    return Number.isFinite(ms) ? ms : undefined;
  };
  return { startUtcMs: utcMs('START'), stopUtcMs: utcMs('STOP') };
}

function networkOf(said: Values) {
  const session = valuesOf(said.get('sessiondesc'));
  const loss = valuesOf(said.get('packetloss'));
  const delay = valuesOf(said.get('delay'));
  const share = (value: number | undefined) => (value === undefined ? undefined : value / 100);
  return {
    codec: textOf(session.get('PD')),
    lost: share(numberOf(loss.get('NLR'), 0, 100)),
    discarded: share(numberOf(loss.get('JDR'), 0, 100)),
    jitterBufferMs: numberOf(valuesOf(said.get('jitterbuffer')).get('JBN'), 0, 65_535),
    jitterMs: numberOf(delay.get('IAJ'), 0, 65_535),
    roundTripMs: numberOf(delay.get('RTD'), 0, 65_535),
    endSystemDelayMs: numberOf(delay.get('ESD'), 0, 65_535),
  };
}

function soundOf(said: Values) {
  const signal = valuesOf(said.get('signal'));
  const quality = valuesOf(said.get('qualityest'));
  return {
    signalDbm0: numberOf(signal.get('SL'), -126, 126),
    noiseDbm0: numberOf(signal.get('NL'), -126, 126),
    rFactor: numberOf(quality.get('RCQ'), 0, 120),
    rFactorLq: numberOf(quality.get('RLQ'), 0, 120),
    mosCq: numberOf(quality.get('MOSCQ'), 1, 5),
    mosLq: numberOf(quality.get('MOSLQ'), 1, 5),
    algorithm: textOf(quality.get('QOEESTALG')),
  };
}

const deviceOf = (values: Values) => ({
  microphone: textOf(values.get('MIC')),
  headset: textOf(values.get('HEADSET')),
  isp: textOf(values.get('ISP')),
});

/** 127 and the like say that a figure is not known (RFC 3611 §4.7): they are out of every range. */
function numberOf(text: string | undefined, least: number, most: number): number | undefined {
  if (text === undefined || !/^-?\d{1,6}(?:\.\d{1,6})?$/.test(text)) return undefined;
  const value = Number(text);
  return value >= least && value <= most ? value : undefined;
}

/** Nothing that would change a terminal or a page. */
function textOf(text: string | undefined): string | undefined {
  const plain = text?.replace(/[\x00-\x1f\x7f]/g, '').slice(0, VQ_LIMITS.text);
  return plain === '' ? undefined : plain;
}

function withoutUndefined<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as never;
}
