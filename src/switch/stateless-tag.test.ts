import { expect, it } from 'vitest';
import { request } from '../../test/support/edge-core.ts';
import { parseMessage, type SipRequest, toBytes } from '../sip/index.ts';
import { statelessTag } from './stateless-tag.ts';

const secret = new Uint8Array(32).fill(1);
const parsed = (text: string): SipRequest => {
  const result = parseMessage(toBytes(text));
  if (!result.ok || result.message.kind !== 'request') throw new Error('not a request');
  return result.message;
};

it('a request that comes again gets the same tag, another one another', () => {
  const tag = statelessTag(parsed(request('INVITE')), secret);
  expect(tag).toHaveLength(10);
  expect(statelessTag(parsed(request('INVITE')), secret)).toBe(tag);
  expect(statelessTag(parsed(request('INVITE', { cseq: 2 })), secret)).not.toBe(tag);
  expect(statelessTag(parsed(request('INVITE', { callId: 'call-2@phone' })), secret)).not.toBe(tag);
});
