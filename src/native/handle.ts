/**
 * What lies outside the JavaScript heap, freed by the collector when its owner was forgotten without `free`. The registry must not
 * reach the owner, so the handle is a value of its own.
 */
export interface Handle {
  address: number;
  readonly release: (address: number) => void;
}

const dropped = new FinalizationRegistry<Handle>(release);

function release(handle: Handle): void {
  if (handle.address !== 0) handle.release(handle.address);
  handle.address = 0;
}

/** `address` 0: there is nothing to free. */
export function newHandle(owner: object, address: number, release: (address: number) => void): Handle {
  const handle = { address, release };
  dropped.register(owner, handle, handle);
  return handle;
}

export function freeHandle(handle: Handle): void {
  dropped.unregister(handle);
  release(handle);
}
