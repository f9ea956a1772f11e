// Lets the users of a host take turns at what ships their rings, so that one with very many, or with very full ones, holds
// up nobody else. The shipper goes through its rings with it, round after round.

export interface Pace {
  /** How long a round may take for all users together, who share it. */
  roundMs: number;
  clockMs: () => number;
}

/** A round of one of them may end after one ring, however many users there are. */
const LEAST_MS = 5;

export class Turns<T> {
  readonly #users = new Map<number, Set<T>>();

  add(uid: number, item: T): void {
    const items = this.#users.get(uid) ?? new Set();
    items.add(item);
    this.#users.set(uid, items);
  }

  remove(uid: number, item: T): void {
    const items = this.#users.get(uid);
    items?.delete(item);
    if (items?.size === 0) this.#users.delete(uid);
  }

  of(uid: number): ReadonlySet<T> {
    return this.#users.get(uid) ?? new Set();
  }

  /**
   * Looks at one of each user in turn, until each was looked at once or its user's time is over. Those that are left come
   * first in the next round.
   * @param look may remove what it looks at; gives false to end the round. It is told when its time is over.
   * @returns whether each was looked at
   */
  round(look: (item: T, isOver: () => boolean) => boolean, { roundMs, clockMs }: Pace): boolean {
    const limitMs = Math.max(LEAST_MS, roundMs / this.#users.size);
    const turns = [...this.#users.values()].map((items) => ({ items, left: items.size, ms: 0 }));
    let isAll = true;
    for (let some = turns; some.length > 0; some = some.filter(({ left }) => left > 0)) {
      for (const turn of some) {
        const [item] = turn.items;
        if (item === undefined || turn.ms >= limitMs) {
          if (item !== undefined) isAll = false;
          turn.left = 0;
          continue;
        }
        turn.left--;
        turn.items.delete(item);
        turn.items.add(item);
        const beganMs = clockMs();
        if (!look(item, () => turn.ms + clockMs() - beganMs >= limitMs)) return false;
        turn.ms += clockMs() - beganMs;
      }
    }
    return isAll;
  }
}
