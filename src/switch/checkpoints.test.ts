import { beforeEach, describe, expect, it } from 'vitest';
import { CallFlow } from '../../test/support/call-flow.ts';
import { talk } from '../../test/support/call-scenario.ts';
import { settle } from '../../test/support/virtual-time.ts';
import {
  type AccountId,
  type BundleId,
  type LegId,
  type SwitchId,
  seededRandom,
  silentLogger,
  VirtualClock,
  type ZoneId,
} from '../base/index.ts';
import type { Call, CallCommand } from '../call/index.ts';
import { MemoryCluster, type MemoryState, type Sealer, type StatePort, sealer } from '../state/index.ts';
import { Alarm } from './alarm.ts';
import { Bundles } from './bundles.ts';
import type { CallCarrier } from './carry-out.ts';
import { type CheckpointOptions, Checkpoints } from './checkpoints.ts';
import type { RunningCall } from './running-call.ts';
import { NEWEST_FORM, unpackCall } from './stored-call.ts';

const ACCOUNT = 'demo' as AccountId;
const BUNDLE = 'bundle0000' as BundleId;

let clock: VirtualClock;
let state: MemoryState;
let seal: Sealer;
let checkpoints: Checkpoints;
let events: string[];
let talking: Call;
let unwritten: Checkpoints;
let options: CheckpointOptions;
let carrier: Pick<CallCarrier, 'carryOut' | 'keepRecords'>;

beforeEach(async () => {
  clock = new VirtualClock();
  state = new MemoryCluster({ clock }).open('a' as ZoneId, 'b' as ZoneId);
  seal = sealer({ newest: 1, keys: new Map([[1, Buffer.alloc(32, 9)]]) }, seededRandom(1));
  events = [];
  const { epoch } = await state.grant(BUNDLE, 'a1' as SwitchId, 'a' as ZoneId);
  const bundles = new Bundles();
  bundles.hold({ bundle: BUNDLE, epoch }, Promise.resolve());
  carrier = {
    carryOut: (_, commands) => events.push(...commands.map(({ type }) => `${type} is carried out`)),
    keepRecords: async (_, commands) => {
      if (commands.some(({ type }) => type === 'record')) events.push('the record is kept');
    },
  };
  options = {
    clock,
    state: watched(state),
    sealer: seal,
    bundles,
    log: silentLogger,
    form: () => NEWEST_FORM,
    onLost: () => events.push('lost'),
    onDeleted: () => events.push('deleted'),
  };
  checkpoints = new Checkpoints(options, carrier as CallCarrier);
  unwritten = new Checkpoints({ ...options, checkpoints: false }, carrier as CallCarrier);
  const flow = new CallFlow();
  talk({ flow, alice: flow.phone('alice'), bob: flow.phone('bob') });
  talking = flow.call!;
});

/** The state, telling of its commits. */
function watched(port: MemoryState): StatePort {
  return new Proxy(port, {
    get(target, name: keyof MemoryState) {
      if (name !== 'commit') return Reflect.get(target, name);
      return async (...args: Parameters<StatePort['commit']>) => {
        await target.commit(...args);
        events.push(`${args[0][0]?.op} is written`);
      };
    },
  });
}

const running = (more: Partial<RunningCall> = {}): RunningCall => ({
  id: talking.id,
  bundle: BUNDLE,
  account: ACCOUNT,
  directoryNumber: 1,
  index: 'id tag',
  aheadMs: 0,
  key: seal.callKey(),
  call: talking,
  resting: undefined,
  streams: {},
  outbox: [],
  dirty: false,
  urgent: false,
  writing: Promise.resolve(),
  isWriting: false,
  unwritten: false,
  checkpointed: undefined,
  indexed: false,
  alarm: new Alarm(new VirtualClock(), () => {}),
  over: false,
  overMs: 0,
  deleted: false,
  sipCallIds: [],
  ...more,
});

const bye: CallCommand = {
  type: 'send',
  leg: 'a' as LegId,
  flow: { id: 'u:edge1:0:192.0.2.1:5060' } as Extract<CallCommand, { type: 'send' }>['flow'],
  text: 'BYE sip:x SIP/2.0\r\n\r\n',
};
const record = { type: 'record', record: {} } as CallCommand;

describe('what leaves the zone', () => {
  it('is written first, and carried out then', async () => {
    const call = running({ outbox: [bye] });
    await checkpoints.now(call);
    expect(events).toEqual(['put is written', 'send is carried out']);
    const [stored] = await state.list<Uint8Array>(ACCOUNT, 'call');
    expect(unpackCall(seal.open(stored!.value))).toMatchObject({ call: talking, outbox: [bye] });
  });

  it('waits while the state is away until somebody says that nobody adopts', async () => {
    let say: () => void = () => {};
    const said = new Promise<void>((resolve) => {
      say = resolve;
    });
    const far = new Checkpoints({ ...options, unwritten: () => said }, carrier as CallCarrier);
    state.away('rejects');
    const written = far.now(running({ outbox: [bye] }));
    await settle();
    expect(events).toEqual([]);
    say();
    await written;
    expect(events).toEqual(['send is carried out']);
  });

  it('never leaves if somebody else has the call by then', async () => {
    const bundles = new Bundles();
    bundles.hold({ bundle: BUNDLE, epoch: 1 }, Promise.resolve());
    const said = settle().then(() => void bundles.drop(BUNDLE));
    const far = new Checkpoints({ ...options, bundles, unwritten: () => said }, carrier as CallCarrier);
    state.away('rejects');
    await far.now(running({ outbox: [bye] }));
    expect(events).toEqual(['lost']);
  });

  it('is carried out alone where calls shall not be kept', async () => {
    await unwritten.now(running({ outbox: [bye] }));
    expect(events).toEqual(['send is carried out']);
    expect(await state.list(ACCOUNT, 'call')).toEqual([]);
  });
});

describe('what stays in the zone', () => {
  it('waits, and so does whoever brought it, until it is written a little later', async () => {
    const call = running();
    const written = checkpoints.soon(call).then(() => events.push('the frame is acknowledged'));
    await settle();
    expect(events).toEqual([]);
    clock.advance(100);
    await written;
    expect(events).toEqual(['put is written', 'the frame is acknowledged']);
  });

  it('goes with the next thing that leaves', async () => {
    const call = running();
    const soon = checkpoints.soon(call);
    call.outbox.push(bye);
    await checkpoints.now(call);
    await soon;
    clock.advance(1_000);
    await settle();
    expect(events).toEqual(['put is written', 'send is carried out']);
  });

  it('is not written with a record that was under way already', async () => {
    const call = running({ outbox: [bye] });
    const now = checkpoints.now(call);
    let acknowledged = false;
    void checkpoints.soon(call).then(() => {
      acknowledged = true;
    });
    await now;
    await settle();
    expect(acknowledged).toBe(false);
    clock.advance(100);
    await settle();
    expect(acknowledged).toBe(true);
    expect(events.filter((event) => event === 'put is written')).toHaveLength(2);
  });
});

describe('an ended call', () => {
  const ended = (): Call => ({ ...talking, state: 'ended', legs: [] });

  it('is deleted when everybody has heard, after its record is kept', async () => {
    await checkpoints.now(running());
    events.length = 0;
    const call = running({ call: ended(), over: true, overMs: clock.nowMs(), outbox: [record] });
    await checkpoints.now(call);
    expect(events).toEqual(['the record is kept', 'delete is written', 'record is carried out', 'deleted']);
    expect(await state.list(ACCOUNT, 'call')).toEqual([]);
  });

  it('answers what comes again without another write', async () => {
    const call = running({ call: ended(), over: true, deleted: true, outbox: [bye] });
    await checkpoints.now(call);
    expect(events).toEqual(['send is carried out', 'deleted']);
  });
});

it('keeps the secret beside the call where the state is the vault, and deletes both as one', async () => {
  const shared = sealer({ newest: 1, keys: new Map([[1, Buffer.alloc(32, 9)]]) }, seededRandom(2), 'state');
  const call = running({ key: shared.callKey() });
  await checkpoints.now(call);
  const [[stored], [secret]] = await Promise.all([
    state.list<Uint8Array>(ACCOUNT, 'call', `${BUNDLE}/`),
    state.list<Uint8Array>(ACCOUNT, 'call-key', `${BUNDLE}/`),
  ]);
  expect(secret!.key.id).toBe(stored!.key.id);
  expect(unpackCall(shared.open(stored!.value, secret!.value))).toMatchObject({ call: talking });
  call.call = { ...talking, state: 'ended', legs: [] };
  call.over = true;
  await checkpoints.now(call);
  expect(await state.list(ACCOUNT, 'call')).toEqual([]);
  expect(await state.list(ACCOUNT, 'call-key')).toEqual([]);
});

it('lets a call go whose bundle another holds', async () => {
  await state.grant(BUNDLE, 'a2' as SwitchId, 'a' as ZoneId);
  const call = running({ outbox: [bye] });
  const soon = checkpoints.soon(call);
  await checkpoints.now(call);
  await soon;
  expect(events).toEqual(['lost']);
});
