import { expect, test } from 'vitest';
import {
  cancelFor,
  cancelledTransactionKey,
  clientTransactionKey,
  createRequest,
  createResponse,
  type SipRequest,
  serverTransactionKey,
  withHeader,
} from './index.ts';

const invite = createRequest({
  method: 'INVITE',
  uri: 'sip:1002@example.com',
  headers: {
    Via: 'SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKabc',
    From: '<sip:1001@example.com>;tag=f',
    To: '<sip:1002@example.com>',
    'Call-ID': 'c1',
    CSeq: '1 INVITE',
  },
});
const as = (method: string, from: SipRequest = invite): SipRequest => ({
  ...withHeader(from, 'CSeq', `1 ${method}`),
  method,
});
const via = (value: string, from: SipRequest = invite): SipRequest => withHeader(from, 'Via', value);

test('an ACK for a failure finds its INVITE, other methods do not (§17.2.3)', () => {
  expect(serverTransactionKey(as('ACK'))).toBe(serverTransactionKey(invite));
  expect(serverTransactionKey(as('BYE'))).not.toBe(serverTransactionKey(invite));
});

test('a CANCEL is a transaction of its own and names the one that it ends (§9.2)', () => {
  const cancel = cancelFor(invite);
  expect(cancel).toMatchObject({ method: 'CANCEL', uri: invite.uri });
  expect(serverTransactionKey(cancel)).not.toBe(serverTransactionKey(invite));
  expect(cancelledTransactionKey(cancel)).toBe(serverTransactionKey(invite));
});

test('the same branch from another sender is another transaction', () => {
  const other = via('SIP/2.0/UDP 192.0.2.99:5070;branch=z9hG4bKabc');
  expect(serverTransactionKey(other)).not.toBe(serverTransactionKey(invite));
  // What the receiver added to Via does not count.
  const stamped = via('SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKabc;received=192.0.2.7;rport=5099');
  expect(serverTransactionKey(stamped)).toBe(serverTransactionKey(invite));
});

test('a response finds its request by branch and CSeq method (§17.1.3)', () => {
  expect(clientTransactionKey(createResponse(invite, 180, { toTag: 't' }))).toBe(
    clientTransactionKey(invite),
  );
  expect(clientTransactionKey(createResponse(as('CANCEL'), 200))).not.toBe(clientTransactionKey(invite));
});

test('a client of RFC 2543 has no magic cookie: its requests match by what they say', () => {
  const old = via('SIP/2.0/UDP 192.0.2.1:5070', invite);
  const ack = withHeader(as('ACK', old), 'To', '<sip:1002@example.com>;tag=ours');
  expect(serverTransactionKey(ack)).toBe(serverTransactionKey(old));
  const next = withHeader(old, 'CSeq', '2 INVITE');
  expect(serverTransactionKey(next)).not.toBe(serverTransactionKey(old));
  const otherCall = withHeader(old, 'Call-ID', 'c2');
  expect(serverTransactionKey(otherCall)).not.toBe(serverTransactionKey(old));
  const bare = via('SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK');
  expect(serverTransactionKey(bare)).toMatch(/^s2543/);
});
