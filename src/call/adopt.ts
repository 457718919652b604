import { sayAgain } from './flow.ts';
import { putStream } from './streams.ts';
import { isReliable } from './wire.ts';
import type { Work } from './work.ts';

/**
 * Another switch owns the call now. It has carried the last commands out again; what it cannot know is whether answers to earlier ones
 * were lost with the old owner, so everything that is still awaited is asked for again. Each question is harmless the second time.
 */
export function adopted(work: Work): void {
  const { call } = work;
  call.adoptions++;
  for (const user of new Set(call.lookups.map((lookup) => lookup.user))) {
    work.commands.push({ type: 'find-bindings', user });
  }
  if (call.closing !== undefined) {
    if (call.closing.streams.length > 0) {
      work.commands.push({ type: 'media-close', streams: call.closing.streams });
    }
  } else if (call.end === undefined) {
    for (const leg of call.legs) putStream(work, leg);
  }
  // Over UDP the transactions repeat themselves; over a stream nothing would.
  for (const leg of call.legs) if (isReliable(leg.flow)) sayAgain(work, leg);
}
