/**
 * Runs that are shared: whoever asks for what is being made already waits for the same run. What has ended is forgotten, so that keeping
 * it is the caller's choice.
 */
export function shareRuns<Result>(): (key: string, run: () => Promise<Result>) => Promise<Result> {
  const running = new Map<string, Promise<Result>>();
  return (key, run) => {
    let one = running.get(key);
    if (one === undefined) {
      one = run().finally(() => running.delete(key));
      running.set(key, one);
    }
    return one;
  };
}
