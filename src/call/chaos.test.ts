import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CallFlow } from '../../test/support/call-flow.ts';
import type { ScriptedPhone } from '../../test/support/scripted-phone.ts';
import type { SipRequest, SipResponse } from '../sip/index.ts';

const BODIES: readonly ((phone: ScriptedPhone) => string | undefined)[] = [
  () => undefined,
  (phone) => phone.sdp(),
  (phone) => phone.sdp({ direction: 'sendonly', version: 2 }),
  (phone) => phone.sdp({ codecs: ['9 G722/8000'], version: 3 }),
  (phone) => phone.sdp({ crypto: ['1 AES_CM_128_HMAC_SHA1_80 inline:short'] }),
  () => 'v=nonsense',
  () => '\0\xff',
];
const METHODS = ['INVITE', 'UPDATE', 'BYE', 'INFO', 'PRACK', 'OPTIONS', 'REFER', 'DANCE', 'CANCEL'];
const STATUSES = [
  100, 180, 183, 199, 200, 202, 302, 401, 404, 408, 422, 480, 481, 486, 487, 488, 491, 500, 503, 603,
];

type Act =
  | {
      readonly do: 'answer';
      readonly who: number;
      readonly which: number;
      readonly status: number;
      readonly body: number;
      readonly reliable: boolean;
    }
  | { readonly do: 'ask'; readonly who: number; readonly method: number; readonly body: number }
  | { readonly do: 'ack'; readonly who: number; readonly which: number; readonly body: number }
  | { readonly do: 'cancel'; readonly who: number }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'event'; readonly which: number };

const nat = (max: number) => fc.nat({ max });
const acts: fc.Arbitrary<Act> = fc.oneof(
  fc.record({
    do: fc.constant('answer' as const),
    who: nat(2),
    which: nat(3),
    status: nat(STATUSES.length - 1),
    body: nat(BODIES.length - 1),
    reliable: fc.boolean(),
  }),
  fc.record({
    do: fc.constant('ask' as const),
    who: nat(2),
    method: nat(METHODS.length - 1),
    body: nat(BODIES.length - 1),
  }),
  fc.record({ do: fc.constant('ack' as const), who: nat(2), which: nat(3), body: nat(BODIES.length - 1) }),
  fc.record({ do: fc.constant('cancel' as const), who: nat(2) }),
  fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 499, 5_000, 40_000, 900_000) }),
  fc.record({ do: fc.constant('event' as const), which: nat(5) }),
);

function play(flow: CallFlow, phones: readonly ScriptedPhone[], act: Act): void {
  switch (act.do) {
    case 'answer': {
      const phone = phones[act.who]!;
      const requests = phone.heard.filter(
        (message): message is SipRequest => message.kind === 'request' && message.method !== 'ACK',
      );
      const request = requests.at(-1 - act.which);
      if (request === undefined) return;
      const body = BODIES[act.body]!(phone);
      phone.answers(request, STATUSES[act.status]!, {
        ...(body === undefined ? {} : { body }),
        headers: act.reliable
          ? [
              { name: 'Require', value: '100rel' },
              { name: 'RSeq', value: String(1 + act.which) },
              { name: 'Allow', value: 'INVITE, UPDATE' },
            ]
          : [],
      });
      return;
    }
    case 'ask': {
      const phone = phones[act.who]!;
      const body = BODIES[act.body]!(phone);
      phone.asks(METHODS[act.method]!, {
        ...(body === undefined ? {} : { body }),
        headers: [{ name: 'RAck', value: '1 1 INVITE' }],
      });
      return;
    }
    case 'ack': {
      const phone = phones[act.who]!;
      const responses = phone.heard.filter(
        (message): message is SipResponse => message.kind === 'response' && message.status >= 200,
      );
      const response = responses.at(-1 - act.which);
      if (response === undefined) return;
      const body = BODIES[act.body]!(phone);
      phone.acks(response, body === undefined ? {} : { body });
      return;
    }
    case 'cancel':
      if (act.who === 0) phones[0]!.cancels();
      return;
    case 'wait':
      flow.advance(act.ms);
      return;
    case 'event':
      chance(flow, phones, act.which);
      return;
  }
}

function chance(flow: CallFlow, phones: readonly ScriptedPhone[], which: number): void {
  const stream = [...flow.streams.keys()].at(which - 3);
  switch (which) {
    case 0:
      flow.feed({ type: 'adopted' });
      return;
    case 1:
      flow.feed({ type: 'flow-closed', flow: phones[1]!.flow.id });
      return;
    case 2:
      flow.reportsLost = !flow.reportsLost;
      return;
    case 3:
      flow.mediaFails = flow.mediaFails === undefined ? 'no_ports' : undefined;
      return;
    case 4:
      if (stream !== undefined) flow.feed({ type: 'media-failed', stream, code: 'bad_spec' });
      return;
    default:
      flow.feed({ type: 'wake' });
  }
}

describe('whatever phones do in whatever order', () => {
  it('nothing throws, nothing grows, and the call ends with one record', () => {
    fc.assert(
      fc.property(
        fc.array(acts, { maxLength: 40 }),
        nat(1000),
        fc.boolean(),
        fc.constantFrom('udp' as const, 'tls' as const),
        fc.boolean(),
        (script, seed, late, transport, adopted) => {
          const flow = new CallFlow({
            seed,
            adoptAfterEachStep: adopted,
            people: {
              alice: { extension: '1001', transport },
              bob: {
                extension: '1002',
                phones: 2,
                profile: 'desk-128',
                ring: { mode: seed % 2 === 0 ? 'all' : 'in-order', maxWaitSec: 30 },
              },
            },
          });
          const phones = [flow.phone('alice'), flow.phone('bob'), flow.phone('bob2')];
          if (late) phones[0]!.invite('1002');
          else phones[0]!.calls('1002');
          for (const act of script) play(flow, phones, act);
          flow.feed({ type: 'hangup', commandId: 'end', actor: 'test' });
          flow.runOut(20 * 60_000);
          expect(flow.call).toBeUndefined();
          expect(flow.records).toHaveLength(1);
          const open = [...flow.streams.keys()].filter((id) => !flow.closedStreams.includes(id));
          expect(open).toEqual([]);
          expect(flow.largestCallBytes).toBeLessThan(64 * 1024);
        },
      ),
      // More and others: TWINLINE_CHAOS_RUNS=5000 TWINLINE_CHAOS_SEED=1.
      {
        numRuns: Number(process.env['TWINLINE_CHAOS_RUNS'] ?? 100),
        seed: Number(process.env['TWINLINE_CHAOS_SEED'] ?? 20261124),
      },
    );
  }, 600_000);
});
