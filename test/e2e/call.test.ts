import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Installation } from '../support/installation.ts';
import { callAndTalk, hearEachOther, registeredPhone } from '../support/talk.ts';

interface Calls {
  calls: {
    id: string;
    from: string;
    to: string;
    state: string;
    zone: string;
    switch: string;
    since: number;
  }[];
}

describe('a call between two registered phones', () => {
  let twinline: Installation;
  beforeAll(async () => {
    twinline = await Installation.start();
  });
  afterAll(() => twinline?.stop());

  it('is set up, heard both ways, held, resumed and ended', async () => {
    await using ada = await registeredPhone(twinline, '1001');
    await using charles = await registeredPhone(twinline, '1002');
    const talk = await callAndTalk(ada, charles);

    const { calls } = await twinline.twinline<Calls>('calls');
    expect(calls).toHaveLength(1);
    expect(calls[0]).toMatchObject({ from: '1001', to: '1002', state: 'talking' });

    await talk.caller.hold();
    await talk.caller.resume();
    await hearEachOther(talk);
    await talk.callee.bye();
    expect((await talk.caller.ended()).how).toBe('bye');
  });
});
