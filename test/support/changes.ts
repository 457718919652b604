/** Who waits for something to become true is asked again whenever something has changed. */
export class Changes {
  readonly #watchers = new Set<() => void>();

  async until(condition: () => boolean): Promise<void> {
    while (!condition())
      await new Promise<void>((resolve) => {
        const watcher = () => {
          this.#watchers.delete(watcher);
          resolve();
        };
        this.#watchers.add(watcher);
      });
  }

  tell(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}
