import { expect, test } from 'vitest';
import { passTime } from '../../test/support/virtual-time.ts';
import { type MediaId, type StreamId, silentLogger, VirtualClock } from '../base/index.ts';
import { LostStreams } from './lost-streams.ts';

const [plain, secret, moved] = ['plain', 'secret', 'moved'] as StreamId[] as [StreamId, StreamId, StreamId];

function scene() {
  const clock = new VirtualClock();
  const state = {
    places: new Map<StreamId, MediaId | 'standby'>() as Map<StreamId, MediaId | 'standby'> | undefined,
    complete: true,
    asked: 0,
  };
  const heard: string[] = [];
  const lost = new LostStreams({
    clock,
    log: silentLogger,
    media: {
      get complete() {
        return state.complete;
      },
      locate: () => {
        state.asked++;
        return Promise.resolve(state.places);
      },
    },
    calls: {
      openStreams: [plain, secret, moved],
      streamMoved: (stream, media) => heard.push(`${stream} is at ${media}`),
      streamsLost: (streams) => heard.push(`lost: ${streams.join(' ')}`),
    },
  });
  return { clock, state, heard, lost };
}

test('what nobody has is lost; what another has is found there; what a twin holds is left alone', async () => {
  const { clock, state, heard, lost } = scene();
  state.places = new Map<StreamId, MediaId | 'standby'>([
    [moved, 'b' as MediaId],
    [plain, 'standby'],
  ]);
  for (let n = 0; n < 3; n++) lost.look();
  await passTime(clock, 100);
  expect(heard).toEqual(['moved is at b', 'lost: secret']);
  expect(state.asked).toBe(1);
});

test('nothing is called lost while a process is away that may have it, or does not answer', async () => {
  const { clock, state, heard, lost } = scene();
  state.complete = false;
  lost.look();
  await passTime(clock, 1_000);
  state.places = undefined;
  await passTime(clock, 1_000);
  expect(heard).toEqual([]);
  state.places = new Map();
  state.complete = true;
  await passTime(clock, 1_000);
  expect(heard).toEqual(['lost: plain secret moved']);
  const { asked } = state;
  await passTime(clock, 5_000);
  expect(state.asked).toBe(asked);
});
