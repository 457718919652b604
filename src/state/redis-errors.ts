import { TwinlineError } from '../base/index.ts';

/** What went wrong with a command, as an error with a code. `where` names the server: `Redis at 127.0.0.1:6379`. */
export function redisError(cause: unknown, where: string): TwinlineError {
  if (cause instanceof TwinlineError) return cause;
  const message = messageOf(cause);
  const say = (code: string, sentence: string): TwinlineError =>
    new TwinlineError(code, `${where} ${sentence}`, { cause });
  const word = /^-?([A-Z]+)\b/.exec(message)?.[1] ?? '';
  switch (word) {
    case 'OOM':
      return say('state_full', 'has no memory left for the state: raise its maxmemory');
    case 'MISCONF':
      return say(
        'state_full',
        `refuses to write because it cannot save to its disk (${message}): is there room?`,
      );
    case 'LOADING':
      return say('state_loading', 'is still loading its data');
    case 'READONLY':
    case 'MASTERDOWN':
      return say('state_read_only', 'is a replica and takes no writes: name its master, or the sentinels');
    case 'NOREPLICAS':
      return say(
        'state_not_replicated',
        'takes no writes because too few replicas follow it (min-replicas-to-write)',
      );
    case 'NOAUTH':
    case 'WRONGPASS':
    case 'NOPERM':
    case 'DENIED':
      return say('state_refused', `refuses us: ${message}`);
    case 'WRONGTYPE':
      return say(
        'state_unreadable',
        'holds something under a key of ours that is not ours: give this installation a database of its own',
      );
    case 'BUSY':
      return say('state_busy', `is busy: ${message}`);
    case 'EPOCHS':
      return say('state_epochs_used_up', `cannot give another epoch: ${message}`);
    default:
  }
  if (/timed? ?out/i.test(message)) return say('state_timeout', 'does not answer in time');
  if (/Protocol error|reply type|RESP type|report this/i.test(message))
    return say('state_garbage', `answers what is no Redis protocol (${message.slice(0, 100)})`);
  if (isGone(cause, message)) return say('state_away', `cannot be reached (${message.slice(0, 120)})`);
  return say('state_failed', `answered with an error: ${message.slice(0, 200)}`);
}

function isGone(cause: unknown, message: string): boolean {
  const code = (cause as { code?: unknown } | undefined)?.code;
  if (typeof code === 'string' && /^E[A-Z]+$/.test(code)) return true;
  return /closed|retries per request|isn't writeable|ended|unreachable|aborted|flush/i.test(message);
}

export const messageOf = (error: unknown): string =>
  error instanceof Error
    ? error.message || String((error as { code?: unknown }).code ?? error.name)
    : String(error);
