import { describe, expect, test } from 'vitest';
import {
  ackFor2xx,
  confirmDialog,
  createRequest,
  createResponse,
  type Dialog,
  dialogFromRequest,
  dialogFromResponse,
  header,
  headerValues,
  matchDialog,
  receiveInDialog,
  requestInDialog,
  responseInDialog,
  type SipRequest,
  type SipResponse,
  terminateDialog,
  withHeader,
} from './index.ts';

const ANN = '<sip:1001@192.0.2.1:5070>';
const BOB = '<sip:1002@192.0.2.2:5080;transport=tcp>';
const VIA = 'SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKnew;rport';
const ROUTES = ['<sip:p1.example.com;lr>', '<sip:p2.example.com;lr>'];

const invite = createRequest({
  method: 'INVITE',
  uri: 'sip:1002@example.com',
  headers: {
    Via: 'SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKfirst',
    From: '"Ann > \\" Smith" <sip:1001@example.com>;tag=ann;x=y',
    To: 'sip:1002@example.com',
    'Call-ID': 'c1',
    CSeq: '41 INVITE',
    Contact: ANN,
  },
});
/** As bob sees it: the proxies have put themselves on the path, the last one on top. */
const inviteAtBob: SipRequest = withHeader(invite, 'Record-Route', ROUTES.join(', '));

function answer(status: number, tag = 'bob', contact: string | undefined = BOB): SipResponse {
  return createResponse(inviteAtBob, status, { toTag: tag, headers: { Contact: contact } });
}

function taken<T>(result: { ok: true; value: T } | { ok: false; error: unknown }): T {
  if (!result.ok) throw new Error(`refused: ${String(result.error)}`);
  return result.value;
}

const ann = (status = 200): Dialog => taken(dialogFromResponse(invite, answer(status)));
const bob = (): Dialog => taken(dialogFromRequest(inviteAtBob, 'bob', 'confirmed'));

function fromAnn(method: string, cseq: number, headers: Record<string, string> = {}): SipRequest {
  return createRequest({
    method,
    uri: 'sip:1002@192.0.2.2:5080',
    headers: {
      Via: VIA,
      From: '<sip:1001@example.com>;tag=ann',
      To: '<sip:1002@example.com>;tag=bob',
      'Call-ID': 'c1',
      CSeq: `${cseq} ${method}`,
      ...headers,
    },
  });
}

describe('a dialog begins (§12.1)', () => {
  test('at the caller: route set reversed, target from Contact, early by 1xx and confirmed by 2xx', () => {
    expect(ann(180)).toEqual({
      role: 'uac',
      state: 'early',
      callId: 'c1',
      localTag: 'ann',
      remoteTag: 'bob',
      localAddress: '"Ann > \\" Smith" <sip:1001@example.com>',
      remoteAddress: '<sip:1002@example.com>',
      localCseq: 41,
      remoteTarget: 'sip:1002@192.0.2.2:5080;transport=tcp',
      routeSet: [...ROUTES].reverse(),
    });
    expect(ann(200).state).toBe('confirmed');
  });

  test('at the callee: route set in order, remote CSeq from the INVITE, own CSeq begins with the first request', () => {
    expect(bob()).toMatchObject({
      role: 'uas',
      localTag: 'bob',
      remoteTag: 'ann',
      localCseq: 0,
      remoteCseq: 41,
      remoteTarget: 'sip:1001@192.0.2.1:5070',
      routeSet: ROUTES,
    });
    const { dialog, request } = requestInDialog(bob(), { method: 'BYE', via: VIA });
    expect(dialog.localCseq).toBe(1);
    expect(header(request, 'CSeq')).toBe('1 BYE');
    expect(header(request, 'From')).toBe('<sip:1002@example.com>;tag=bob');
    expect(header(request, 'To')).toBe('"Ann > \\" Smith" <sip:1001@example.com>;tag=ann');
  });

  test('not without a usable Contact, nor with a path that nobody has', () => {
    expect(dialogFromResponse(invite, createResponse(invite, 200, { toTag: 'bob' }))).toEqual({
      ok: false,
      error: 'no_contact',
    });
    expect(dialogFromRequest(withHeader(invite, 'Contact', 'garbage'), 'bob', 'early')).toMatchObject({
      ok: false,
    });
    const long = withHeader(invite, 'Record-Route', Array(33).fill('<sip:p.example.com;lr>').join(','));
    expect(dialogFromRequest(long, 'bob', 'early')).toEqual({ ok: false, error: 'too_many_routes' });
  });

  test('the 2xx of an early dialog sets route set and target anew (§13.2.2.4); a later one leaves the route set', () => {
    const direct = createResponse(invite, 200, {
      toTag: 'bob',
      headers: { Contact: '<sip:elsewhere@192.0.2.3>' },
    });
    const confirmed = confirmDialog(ann(180), direct);
    expect(confirmed).toMatchObject({
      state: 'confirmed',
      routeSet: [],
      remoteTarget: 'sip:elsewhere@192.0.2.3',
    });
    expect(confirmDialog(confirmed, answer(200)).routeSet).toEqual([]);
    expect(confirmDialog(terminateDialog(ann(180)), direct).state).toBe('terminated');
  });

  test('each fork is a dialog of its own', () => {
    const fork = taken(dialogFromResponse(invite, answer(180, 'carol')));
    expect(matchDialog(fork, answer(200, 'carol'))).toBe(true);
    expect(matchDialog(ann(180), answer(200, 'carol'))).toBe(false);
  });
});

describe('requests of ours in a dialog (§12.2.1)', () => {
  test('follow a loose route', () => {
    const { dialog, request } = requestInDialog(ann(), {
      method: 'INVITE',
      via: VIA,
      contact: ANN,
      body: 'v=0',
      contentType: 'application/sdp',
    });
    expect(request.uri).toBe('sip:1002@192.0.2.2:5080;transport=tcp');
    expect(headerValues(request, 'Route')).toEqual([...ROUTES].reverse());
    expect(header(request, 'CSeq')).toBe('42 INVITE');
    expect(header(request, 'Contact')).toBe(ANN);
    expect(header(request, 'Content-Type')).toBe('application/sdp');
    expect(dialog.localCseq).toBe(42);
  });

  test('follow a strict route: its first hop becomes the Request-URI, the target goes last (§12.2.1.1)', () => {
    const strict: Dialog = {
      ...ann(),
      routeSet: ['<sip:old.example.com;method=BYE?x=y>', '<sip:p1.example.com;lr>'],
    };
    const { request } = requestInDialog(strict, { method: 'BYE', via: VIA });
    expect(request.uri).toBe('sip:old.example.com');
    expect(headerValues(request, 'Route')).toEqual([
      '<sip:p1.example.com;lr>',
      '<sip:1002@192.0.2.2:5080;transport=tcp>',
    ]);
  });

  test('the ACK for a 2xx has the CSeq of its INVITE, whatever was sent between', () => {
    const later = requestInDialog(ann(), { method: 'UPDATE', via: VIA }).dialog;
    const ack = ackFor2xx(later, 41, {
      via: VIA,
      headers: [{ name: 'Authorization', value: 'Digest x="y"' }],
    });
    expect(ack).toMatchObject({ method: 'ACK', uri: 'sip:1002@192.0.2.2:5080;transport=tcp' });
    expect(header(ack, 'CSeq')).toBe('41 ACK');
    expect(header(ack, 'Authorization')).toBe('Digest x="y"');
    expect(headerValues(ack, 'Route')).toEqual([...ROUTES].reverse());
  });

  test('a peer without a tag (RFC 2543) gets none', () => {
    const old: Dialog = { ...bob(), remoteTag: '' };
    expect(header(requestInDialog(old, { method: 'BYE', via: VIA }).request, 'To')).not.toContain('tag');
  });
});

describe('requests of the peer in a dialog (§12.2.2)', () => {
  test('count up and refresh the target', () => {
    const outcome = receiveInDialog(bob(), fromAnn('UPDATE', 45, { Contact: '<sip:1001@192.0.2.77>' }));
    expect(outcome).toMatchObject({
      type: 'accepted',
      dialog: { remoteCseq: 45, remoteTarget: 'sip:1001@192.0.2.77' },
    });
  });

  test('that refresh nothing leave the target alone', () => {
    const outcome = receiveInDialog(bob(), fromAnn('INFO', 42, { Contact: '<sip:evil@192.0.2.66>' }));
    expect(outcome).toMatchObject({ type: 'accepted', dialog: { remoteTarget: 'sip:1001@192.0.2.1:5070' } });
  });

  test('with a lower or equal CSeq are out of order, ACK and CANCEL never', () => {
    expect(receiveInDialog(bob(), fromAnn('INFO', 40)).type).toBe('out-of-order');
    expect(receiveInDialog(bob(), fromAnn('INFO', 41)).type).toBe('out-of-order');
    expect(receiveInDialog(bob(), fromAnn('ACK', 41)).type).toBe('accepted');
    expect(receiveInDialog(bob(), fromAnn('CANCEL', 41)).type).toBe('accepted');
  });

  test('the first one of the callee may have any number', () => {
    const fromBob = createRequest({
      method: 'BYE',
      uri: 'sip:1001@192.0.2.1',
      headers: {
        From: '<sip:1002@example.com>;tag=bob',
        To: '<sip:1001@example.com>;tag=ann',
        'Call-ID': 'c1',
        CSeq: '0 BYE',
      },
    });
    expect(receiveInDialog(ann(), fromBob)).toMatchObject({ type: 'accepted', dialog: { remoteCseq: 0 } });
  });

  test('of a stranger or after the end find no dialog', () => {
    expect(receiveInDialog(bob(), withHeader(fromAnn('BYE', 42), 'From', '<sip:x@y>;tag=other')).type).toBe(
      'no-dialog',
    );
    expect(receiveInDialog(bob(), withHeader(fromAnn('BYE', 42), 'Call-ID', 'C1')).type).toBe('no-dialog');
    expect(receiveInDialog(terminateDialog(bob()), fromAnn('BYE', 42)).type).toBe('no-dialog');
  });
});

describe('responses to requests of ours in a dialog (§12.2.1.2)', () => {
  test('a 2xx to a target refresh moves the target, a failure does not', () => {
    const moved = answer(200, 'bob', '<sip:1002@192.0.2.50>');
    expect(responseInDialog(ann(), 'INVITE', moved).remoteTarget).toBe('sip:1002@192.0.2.50');
    expect(responseInDialog(ann(), 'INFO', moved)).toEqual(ann());
    expect(responseInDialog(ann(), 'INVITE', answer(491, 'bob', '<sip:x@192.0.2.50>'))).toEqual(ann());
  });

  test('481 and 408 end the dialog, as does the answer to BYE unless it is a challenge', () => {
    expect(responseInDialog(ann(), 'UPDATE', answer(481)).state).toBe('terminated');
    expect(responseInDialog(ann(), 'INFO', answer(408)).state).toBe('terminated');
    expect(responseInDialog(ann(), 'BYE', answer(200)).state).toBe('terminated');
    expect(responseInDialog(ann(), 'BYE', answer(401)).state).toBe('confirmed');
    expect(responseInDialog(ann(), 'INFO', answer(500)).state).toBe('confirmed');
  });

  test('a dialog is JSON', () => {
    for (const dialog of [ann(180), ann(), bob()])
      expect(JSON.parse(JSON.stringify(dialog))).toStrictEqual(dialog);
  });
});
