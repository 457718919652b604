import { describe, expect, it } from 'vitest';
import {
  answerChallenge,
  authorizationsOf,
  checkNonce,
  createNonce,
  createRequest,
  type DigestAlgorithm,
  digestChallenge,
  hashHa1,
  parseAuthorization,
  parseChallenge,
  type Qop,
  verifyDigest,
} from './index.ts';

describe('digest: the examples of the RFCs', () => {
  it('RFC 2617 §3.5', () => {
    const authorization = parseAuthorization(
      'Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41"',
    )!;
    const ha1 = hashHa1('Mufasa', 'testrealm@host.com', 'Circle Of Life', 'MD5');
    expect(ha1).toBe('939e7578ed9e3c518a452acee763bce9');
    expect(authorization.nonceCount).toBe(1);
    expect(verifyDigest({ authorization, method: 'GET', ha1, body: '' })).toBe(true);
    expect(verifyDigest({ authorization, method: 'PUT', ha1, body: '' })).toBe(false);
  });

  it.each([
    ['MD5', '8ca523f5e9506fed4657c9700eebdbec'],
    ['SHA-256', '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1'],
  ])('RFC 7616 §3.9.1 with %s', (algorithm, response) => {
    const challenge = `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=${algorithm}, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`;
    const answer = answerChallenge(challenge, {
      user: 'Mufasa',
      password: 'Circle of Life',
      method: 'GET',
      uri: '/dir/index.html',
      cnonce: 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ',
    })!;
    expect(answer).toContain(`response="${response}"`);
    expect(answer).toContain('qop=auth, nc=00000001');
    expect(answer).toContain('opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"');
  });
});

describe('digest between our client and our server', () => {
  const algorithms: DigestAlgorithm[] = [
    'MD5',
    'MD5-sess',
    'SHA-256',
    'SHA-256-sess',
    'SHA-512-256',
    'SHA-512-256-sess',
  ];
  const qops: (Qop | undefined)[] = ['auth', 'auth-int', undefined];
  const cases = algorithms.flatMap((algorithm) => qops.map((qop) => [algorithm, qop] as const));

  it.each(cases)('%s with qop %s', (algorithm, qop) => {
    const [challenge] = digestChallenge({
      realm: 'a "quoted" realm',
      nonce: 'abc',
      algorithms: [algorithm],
      qop: qop === undefined ? [] : [qop],
    });
    const made = { method: 'REGISTER', uri: 'sip:example.com', body: 'v=0' };
    const value = answerChallenge(challenge!, {
      user: 'zoë',
      password: 'pässword',
      cnonce: 'c',
      nc: 17,
      ...made,
    })!;
    const request = createRequest({ ...made, headers: { Authorization: value } });
    const [authorization] = authorizationsOf(request, 'Authorization');
    expect(authorization).toMatchObject({ realm: 'a "quoted" realm', algorithm });
    expect(authorization!.nonceCount).toBe(qop && 17);

    const check = { authorization: authorization!, method: made.method, body: made.body };
    const ha1 = hashHa1('zoë', 'a "quoted" realm', 'pässword', algorithm);
    expect(verifyDigest({ ...check, ha1 })).toBe(true);
    expect(verifyDigest({ ...check, ha1, uri: 'sip:EXAMPLE.com' })).toBe(true);
    expect(verifyDigest({ ...check, ha1, uri: 'sip:other.com' })).toBe(false);
    expect(verifyDigest({ ...check, ha1, body: 'other' })).toBe(qop !== 'auth-int');
    expect(verifyDigest({ ...check, ha1: hashHa1('zoë', 'a "quoted" realm', 'password', algorithm) })).toBe(
      false,
    );
  });

  it('challenges once per algorithm, the preferred first, and says when only the nonce is old', () => {
    const [first, second] = digestChallenge({
      realm: 'r',
      nonce: 'n',
      algorithms: ['SHA-256', 'MD5'],
      stale: true,
    });
    expect(first).toBe('Digest realm="r", nonce="n", stale=true, algorithm=SHA-256, qop="auth"');
    expect(parseChallenge(second!)).toMatchObject({ algorithm: 'MD5', stale: true, qop: ['auth'] });
  });

  it.each([
    'Basic YWxhZGRpbjpvcGVuc2VzYW1l',
    'NoOneKnowsThisScheme opaque-data=here',
    'Digest username="a", realm="r", nonce="n", uri="sip:x"',
    'Digest username="a", realm="r", nonce="n", uri="sip:x", response="1", qop=auth',
    'Digest username="a", realm="r", nonce="n", uri="sip:x", response="1", qop=auth, cnonce="c", nc=1',
    'Digest username="a", username="b", realm="r", nonce="n", uri="sip:x", response="1"',
    'Digest username="a", realm="r", nonce="n", uri="sip:x", response="1", algorithm=SHA-1',
    'Digest username="a, realm="r"',
    'Digest',
    '',
  ])('takes for no credentials: %s', (value) => expect(parseAuthorization(value)).toBeUndefined());

  it('reads bare values and odd spacing, as some phones write them', () => {
    expect(
      parseAuthorization(
        'digest username=a , realm = "r",,nonce=n==,uri=sip:x;y=1,response=00,algorithm="md5"',
      ),
    ).toMatchObject({ username: 'a', nonce: 'n==', uri: 'sip:x;y=1', algorithm: 'MD5' });
  });

  it('compares responses of odd lengths without throwing', () => {
    const authorization = parseAuthorization(
      'Digest username="a", realm="r", nonce="n", uri="sip:x", response="\xff"',
    )!;
    expect(verifyDigest({ authorization, method: 'A', ha1: '', body: '' })).toBe(false);
  });
});

describe('nonces', () => {
  const secret = new Uint8Array(32).fill(7);
  const now = Date.UTC(2026, 10, 24);
  const nonce = createNonce(secret, now);

  it('are fresh for their lifetime, then stale', () => {
    expect(checkNonce(secret, nonce, now)).toBe('fresh');
    expect(checkNonce(secret, nonce, now + 300_000)).toBe('fresh');
    expect(checkNonce(secret, nonce, now + 300_001)).toBe('stale');
    expect(checkNonce(secret, nonce, now + 1_001, { lifetimeMs: 1_000 })).toBe('stale');
  });

  it('bear a clock that was set back a little, not one that was set back far', () => {
    expect(checkNonce(secret, nonce, now - 59_000)).toBe('fresh');
    expect(checkNonce(secret, nonce, now - 61_000)).toBe('stale');
  });

  it('are bogus when anything about them is not ours', () => {
    const later = createNonce(secret, now + 1);
    expect(later).not.toBe(nonce);
    expect(checkNonce(secret, later.slice(0, 12) + nonce.slice(12), now)).toBe('bogus');
    expect(checkNonce(new Uint8Array(32), nonce, now)).toBe('bogus');
    expect(checkNonce(secret, nonce, now, { context: 'other' })).toBe('bogus');
    for (const text of ['', 'x', `${nonce}x`, '\xff'.repeat(36), nonce.toUpperCase()]) {
      expect(checkNonce(secret, text, now)).toBe('bogus');
    }
  });
});
