import { expect, it } from 'vitest';
import { CallFlow, type CallFlowOptions } from './call-flow.ts';
import type { ScriptedPhone } from './scripted-phone.ts';

export interface Scene {
  readonly flow: CallFlow;
  readonly alice: ScriptedPhone;
  readonly bob: ScriptedPhone;
}

/** In the middle of what the calls of this file's scenes have been adopted: names of the table of adoptions. */
export const adoptedIn = new Set<string>();

/**
 * Plays a call flow twice: as it is, and with the owner dying after every single step. Both times it must come to the same end, and nothing of
 * the call may be left behind.
 */
export function scene(name: string, options: CallFlowOptions, play: (scene: Scene) => void): void {
  for (const adoptAfterEachStep of [false, true]) {
    it(adoptAfterEachStep ? `${name}, adopted after every step` : name, () => {
      const flow = new CallFlow({ ...options, adoptAfterEachStep });
      play({ flow, alice: flow.phone('alice'), bob: flow.phone('bob') });
      flow.runOut();
      expect(flow.call, 'what is left of the call').toBeUndefined();
      expect(flow.records).toHaveLength(1);
      expect([...flow.streams.keys()].filter((stream) => !flow.closedStreams.includes(stream))).toEqual([]);
      if (!adoptAfterEachStep) return;
      // A call that is refused at once has its record before anyone could adopt it.
      if (flow.states.size > 1) expect(flow.record.adoptions).toBeGreaterThan(0);
      for (const situation of flow.situations) adoptedIn.add(situation);
    });
  }
}

/** Alice calls, bob rings and answers, alice acknowledges. */
export function talk({ alice, bob }: Scene, codecs?: readonly string[]): void {
  const sdp = codecs === undefined ? {} : { codecs };
  alice.calls('1002', sdp);
  const invite = bob.request('INVITE');
  bob.answers(invite, 180);
  alice.response(180);
  bob.answers(invite, 200, { body: bob.sdp(sdp) });
  bob.request('ACK');
  alice.acks(alice.response(200, 'INVITE'));
}

/** One hangs up, the other says yes to it. */
export function hangUp(one: ScriptedPhone, other: ScriptedPhone): void {
  one.asks('BYE');
  one.response(200, 'BYE');
  other.answers(other.request('BYE'), 200);
}
