import { TwinlineError } from '../../base/index.ts';

const MOST_HEARD = 64;
const MOST_ITEMS = 100;
const MOST_TAPS = 8;
const MOST_TEXT = 10_000;
const MOST_GAIN_DB = 40;
const DAY_MS = 86_400_000;
const TONES = new Set(['dial', 'ringback', 'busy', 'reorder', 'call-waiting', 'beep']);
const DIRECTIONS = new Set(['received', 'sent']);

/**
 * The parts of a spec that ask for decoded audio. Throws `bad_spec` naming the field, `e2ee_active` where nothing may be decoded
 * (PH-SEC-07).
 */
export function checkPlane(spec: Record<string, unknown>): void {
  const { hears, room, plays, detects, taps, opaque } = spec;
  if (opaque !== undefined && typeof opaque !== 'boolean') throw bad('opaque', 'must be true or false');
  if (hears !== undefined) checkHears(hears, spec.id);
  if (room !== undefined) checkRoom(room);
  if (plays !== undefined) checkPlays(plays);
  if (detects !== undefined) checkFlags('detects', detects, ['dtmfInAudio', 'voice']);
  if (taps !== undefined) checkTaps(taps);
  if (opaque !== true) return;
  for (const name of ['hears', 'room', 'plays', 'detects', 'taps'])
    if (spec[name] !== undefined)
      throw new TwinlineError(
        'e2ee_active',
        `a stream's ${name}: this stream is encrypted end to end, nobody here can decode it`,
      );
}

function checkHears(hears: unknown, self: unknown): void {
  if (!Array.isArray(hears) || hears.length > MOST_HEARD)
    throw bad('hears', `must be a list of at most ${MOST_HEARD}`);
  for (const [i, each] of hears.entries()) {
    if (!isObject(each) || !isText(each.stream, 64)) throw bad(`hears[${i}].stream`, 'must be a stream id');
    if (each.stream === self) throw bad(`hears[${i}].stream`, 'must be another stream');
    checkGain(`hears[${i}].gainDb`, each.gainDb);
  }
}

function checkRoom(room: unknown): void {
  if (!isObject(room) || !isText(room.id, 64)) throw bad('room.id', 'must be a text of 1 to 64 characters');
  if (typeof room.speaks !== 'boolean' || typeof room.hears !== 'boolean')
    throw bad('room', 'says whether it speaks and hears');
}

function checkPlays(plays: unknown): void {
  if (!isObject(plays) || !isText(plays.id, 64))
    throw bad('plays.id', 'must be a text of 1 to 64 characters');
  const { items, times, fromMs } = plays;
  if (!Array.isArray(items) || items.length === 0 || items.length > MOST_ITEMS)
    throw bad('plays.items', `must be a list of 1 to ${MOST_ITEMS}`);
  for (const [i, item] of items.entries()) checkItem(`plays.items[${i}]`, item);
  if (!Number.isInteger(times) || (times as number) < 0)
    throw bad('plays.times', 'must be a whole number from 0');
  if (fromMs !== undefined && !isMs(fromMs)) throw bad('plays.fromMs', 'must be milliseconds, a day at most');
  checkGain('plays.gainDb', plays.gainDb);
  checkFlags('plays', plays, ['paused', 'mixes']);
}

function checkItem(field: string, item: unknown): void {
  if (!isObject(item)) throw bad(field, 'is no object');
  for (const name of ['forMs', 'digitMs', 'pauseMs', 'silenceMs'])
    if (item[name] !== undefined && !isMs(item[name]))
      throw bad(`${field}.${name}`, 'must be milliseconds, a day at most');
  for (const name of ['country', 'language', 'voice'])
    if (item[name] !== undefined && !isText(item[name], 64)) throw bad(`${field}.${name}`, 'must be a text');
  if ('tone' in item) {
    if (!TONES.has(item.tone as string))
      throw bad(`${field}.tone`, `must be one of ${[...TONES].join(', ')}`);
  } else if ('digits' in item) {
    if (typeof item.digits !== 'string' || !/^[0-9*#A-D]{1,128}$/i.test(item.digits))
      throw bad(`${field}.digits`, 'must be 1 to 128 keys');
  } else if ('asset' in item) {
    if (!isText(item.asset, 512)) throw bad(`${field}.asset`, 'must be the name of a file');
  } else if ('speech' in item) {
    if (!isText(item.speech, MOST_TEXT))
      throw bad(`${field}.speech`, `must be a text of at most ${MOST_TEXT}`);
  } else if (!('silenceMs' in item)) throw bad(field, 'must be an asset, a tone, digits, speech or silence');
}

function checkTaps(taps: unknown): void {
  if (!Array.isArray(taps) || taps.length > MOST_TAPS)
    throw bad('taps', `must be a list of at most ${MOST_TAPS}`);
  for (const [i, tap] of taps.entries()) {
    if (!isObject(tap) || !isText(tap.id, 64))
      throw bad(`taps[${i}].id`, 'must be a text of 1 to 64 characters');
    const { directions } = tap;
    const known = Array.isArray(directions) && directions.every((each) => DIRECTIONS.has(each));
    if (!known || directions.length === 0 || new Set(directions).size < directions.length)
      throw bad(`taps[${i}].directions`, 'must be received, sent or both');
  }
}

function checkGain(field: string, gainDb: unknown): void {
  if (gainDb === undefined) return;
  if (typeof gainDb !== 'number' || !(gainDb <= MOST_GAIN_DB && gainDb >= -200))
    throw bad(field, `must be a gain of -200 to ${MOST_GAIN_DB} dB`);
}

function checkFlags(field: string, value: unknown, names: readonly string[]): void {
  if (!isObject(value)) throw bad(field, 'is no object');
  for (const name of names)
    if (value[name] !== undefined && typeof value[name] !== 'boolean')
      throw bad(`${field}.${name}`, 'must be true or false');
}

const isMs = (value: unknown): boolean => typeof value === 'number' && value >= 0 && value <= DAY_MS;

const isText = (value: unknown, most: number): boolean =>
  typeof value === 'string' && value !== '' && value.length <= most;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const bad = (field: string, what: string): TwinlineError =>
  new TwinlineError('bad_spec', `a stream's ${field} ${what}`);
