import { answeredCallee, callerLeg, type Work } from './work.ts';

/** `talking` or `held`, as the directions say. */
export function showTalkState(work: Work): void {
  const { call } = work;
  if (call.state !== 'talking' && call.state !== 'held' && call.state !== 'answered') return;
  const callee = answeredCallee(call);
  const caller = callerLeg(call);
  if (caller.state !== 'confirmed' || callee?.state !== 'confirmed') return;
  const flows = caller.media.direction === 'sendrecv' && callee.media.direction === 'sendrecv';
  call.state = flows ? 'talking' : 'held';
}
