/** Flags of Node for a process of ours: eleven of them run on one machine, and most of the time they do little. */
export function nodeFlags(_role: string): string[] {
  return ['--enable-source-maps'];
}
