// Finds the known word that a mistyped one was meant to be. Used for flags, subcommands, choices.

/**
 * Number of edits between two words: insert, delete, replace, swap of neighbours.
 * Optimal string alignment, Boytsov 2011, "Indexing methods for approximate dictionary
 * searching", section 2.1.
 */
export function editDistance(left: string, right: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const same = left[row - 1] === right[column - 1];
      let best = Math.min(
        last[column]! + 1,
        current[column - 1]! + 1,
        last[column - 1]! + (same ? 0 : 1),
      );
      const swapped = left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      if (row > 1 && column > 1 && swapped) best = Math.min(best, beforeLast[column - 2]! + 1);
      current.push(best);
    }
    beforeLast = last;
    last = current;
  }
  return last[right.length]!;
}

/**
 * The candidate nearest to `word`, or undefined when none is near enough to be worth naming:
 * a third of the word may differ, or the word is the beginning of exactly one candidate.
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const wanted = word.toLowerCase();
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const distance = editDistance(wanted, candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  if (bestDistance <= Math.max(1, Math.floor(wanted.length / 3))) return best;
  const completions = candidates.filter((candidate) => candidate.startsWith(wanted));
  return completions.length === 1 && wanted.length >= 2 ? completions[0] : undefined;
}
