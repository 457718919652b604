import {
  answerChallenge,
  credentialsHeader,
  header,
  headerValues,
  parseChallenge,
  type SipRequest,
  type SipResponse,
  withHeader,
} from '../../src/sip/index.ts';

/**
 * The request once more with an answer to the first challenge that we understand. Undefined without a password, and where credentials
 * were refused for another reason than a stale nonce: the password is wrong.
 */
export function authorize(
  request: SipRequest,
  challenge: SipResponse,
  account: { readonly user: string; readonly password?: string },
  next: { readonly cseq: number; readonly via: string; readonly cnonce: string },
): SipRequest | undefined {
  const { user, password } = account;
  if (password === undefined) return undefined;
  const name = credentialsHeader(challenge.status);
  const asked = headerValues(challenge, challenge.status === 407 ? 'Proxy-Authenticate' : 'WWW-Authenticate');
  const value = asked.find((one) => parseChallenge(one) !== undefined);
  if (value === undefined) return undefined;
  if (header(request, name) !== undefined && parseChallenge(value)?.stale !== true) return undefined;
  const { method, uri, body } = request;
  const credentials = answerChallenge(value, { user, password, method, uri, body, cnonce: next.cnonce });
  if (credentials === undefined) return undefined;
  const again = withHeader(withHeader(request, 'Via', next.via), 'CSeq', `${next.cseq} ${method}`);
  return withHeader(again, name, credentials);
}
