import { describe, expect, it } from 'vitest';
import { CallFlow } from '../../test/support/call-flow.ts';
import { hangUp, type Scene, talk } from '../../test/support/call-scenario.ts';
import type { AccountId } from '../base/index.ts';
import type { CallCommand } from '../call/index.ts';
import { NEWEST_FORM, packCall, type StoredCall, unpackCall } from './stored-call.ts';

/** A call as it is stored after each of its steps. */
function everyStep(play: (scene: Scene) => void): StoredCall[] {
  const stored: StoredCall[] = [];
  const flow = new CallFlow({
    onStep: (call, outbox) =>
      stored.push({
        call,
        outbox,
        streams: {},
        account: 'demo' as AccountId,
        directoryNumber: 3,
        index: 'id tag',
      }),
  });
  play({ flow, alice: flow.phone('alice'), bob: flow.phone('bob') });
  return stored;
}

const asStored = (stored: StoredCall): unknown => JSON.parse(JSON.stringify(packCall(stored, NEWEST_FORM)));
const sends = ({ outbox }: StoredCall): CallCommand[] => outbox.filter(({ type }) => type === 'send');

describe('a stored call', () => {
  const steps = everyStep((scene) => {
    talk(scene);
    hangUp(scene.alice, scene.bob);
  });

  it('is read as it was, with every command, at each of its steps', () => {
    expect(steps.length).toBeGreaterThan(8);
    expect(steps.flatMap(sends).length).toBeGreaterThan(6);
    for (const stored of steps) expect(unpackCall(asStored(stored))).toEqual(stored);
  });

  it('says no message twice that lies in the call', () => {
    for (const stored of steps) {
      const packed = asStored(stored) as { outbox: { type: string; text?: string; flow?: object }[] };
      for (const { type, text, flow } of packed.outbox) {
        if (type !== 'send') continue;
        expect(flow).toBeUndefined();
        expect(text === undefined || !JSON.stringify(stored.call).includes(JSON.stringify(text))).toBe(true);
      }
    }
  });

  it('says a message over another flow, or one that is kept nowhere, as it is', () => {
    const [first] = steps.filter((stored) => sends(stored).length > 0);
    const send = sends(first!)[0] as Extract<CallCommand, { type: 'send' }>;
    const outbox = [
      { ...send, flow: { ...send.flow, id: 'u:edge1:0:192.0.2.9:5060' as typeof send.flow.id } },
      { ...send, text: 'SIP/2.0 403 Forbidden\r\n\r\n', remote: { address: '192.0.2.9', port: 5070 } },
    ];
    const stored = { ...first!, outbox };
    expect(unpackCall(asStored(stored))).toEqual(stored);
  });

  it('is written and read in the form of the release before, which refuses the newer one', () => {
    for (const stored of steps) {
      const older = JSON.parse(JSON.stringify(packCall(stored, 1)));
      expect(unpackCall(older, 1)).toEqual(stored);
      expect(unpackCall(older)).toEqual(stored);
    }
    expect(() => unpackCall(asStored(steps[0]!), 1)).toThrow(/form 2/);
  });

  it('is refused in a form that is not known, and with a command that names nothing', () => {
    expect(() => unpackCall({ ...steps[0], v: 3 })).toThrow(/form 3/);
    const [first] = steps.filter((stored) => sends(stored).length > 0);
    const packed = asStored(first!) as { outbox: object[] };
    packed.outbox = [{ type: 'send', leg: 'a', same: ['ack', 7] }];
    expect(() => unpackCall(packed)).toThrow(/leg a/);
  });
});
