import { describe, expect, it } from 'vitest';
import { seededRandom } from '../base/index.ts';
import { createRequest, NIL_UUID, newSessionUuid, sessionIdHeader, sessionIdOf } from './index.ts';

const carrying = (value: string) =>
  createRequest({ method: 'INVITE', uri: 'sip:b', headers: { 'session-id': value } });
const A = 'ab30317f1a784dc48ff824d0d3715d86';
const B = '47755a9de7794ba387653f2099600ef2';

describe('Session-ID (RFC 7989)', () => {
  it('reads both ends, and the one of RFC 7329', () => {
    expect(sessionIdOf(carrying(`${A};remote=${B}`))).toEqual({ local: A, remote: B });
    expect(sessionIdOf(carrying(`${A} ; remote = ${B};x=1`))).toEqual({ local: A, remote: B });
    expect(sessionIdOf(carrying(A))).toEqual({ local: A });
  });

  it.each(['', 'x', A.toUpperCase(), `${A};remote=x`, `${A};remote`, `${A}0`, `${A};;`])(
    'refuses "%s"',
    (value) => expect(sessionIdOf(carrying(value))).toBeUndefined(),
  );

  it('writes the nil UUID for an end that is not known yet', () => {
    expect(sessionIdHeader({ local: A })).toEqual({ name: 'Session-ID', value: `${A};remote=${NIL_UUID}` });
  });

  it('makes UUIDs of version 4', () => {
    expect(newSessionUuid(seededRandom(3))).toMatch(/^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$/);
  });
});
