import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';

/** A file of ours, to be read with mistakes in it. */
export class EditedFile {
  readonly text: string;
  readonly #directory = mkdtempSync(join(tmpdir(), 'twinline-edited-'));

  constructor(original: string) {
    this.text = readFileSync(original, 'utf8');
  }

  /** The path of a copy after the given replacements, each of which must find its text. */
  with(...edits: [string, string][]): string {
    const file = join(this.#directory, 'edited.yaml');
    const text = edits.reduce((before, [from, to]) => {
      expect(before).toContain(from);
      return before.replace(from, to);
    }, this.text);
    writeFileSync(file, text);
    return file;
  }

  /** Where `text` stands first in the original, or in `from`. */
  lineOf(text: string, from = this.text): number {
    return from.slice(0, from.indexOf(text)).split('\n').length;
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true });
  }
}

export const asLines = (problems: readonly { readonly line: number; readonly message: string }[]): string[] =>
  problems.map(({ line, message }) => `${line}: ${message}`);
