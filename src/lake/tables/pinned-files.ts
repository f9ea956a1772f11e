// Which files queries are reading. `LakeTables` pins them; retention (src/lake/maintenance) deletes the others.

/** Files that queries read: they are not deleted. */
export class PinnedFiles {
  readonly #counts = new Map<string, number>();

  /** @returns what lets go of them, once */
  pin(files: readonly string[]): () => void {
    let isPinned = true;
    this.#add(files, 1);
    return () => {
      if (isPinned) this.#add(files, -1);
      isPinned = false;
    };
  }

  has(file: string): boolean {
    return this.#counts.has(file);
  }

  #add(files: readonly string[], by: number): void {
    for (const file of files) {
      const count = (this.#counts.get(file) ?? 0) + by;
      if (count === 0) this.#counts.delete(file);
      else this.#counts.set(file, count);
    }
  }
}
