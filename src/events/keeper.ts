// Keeps rings from filling up while nobody ships what is in them: of each living writer's ring the newest part is kept,
// and the writer is told that it may use the rest. The agent does so, for the services of its own user.

import { ownUids } from "../ffi/index.ts";
import { Lease } from "./lease.ts";
import { type NotTaken, RingFinder } from "./ring-finder.ts";
import { OpenRing } from "./rings.ts";
import { ControlledRing, type EventRule, type RulesChange } from "./settings.ts";

/** Below half, from which on spans are refused, by what a busy writer records from one round to the next. */
const KEPT_SHARE = 1 / 4;
/** How often files are looked for, and whether writers live. */
const FIND_MS = 1000;
/** A writer that has just begun takes so many looks at most; one that has ended stays as it is. */
const TRIES = 5;
/** A writer of 100,000 events a second fills a quarter of its ring meanwhile. */
const BUSY_MS = 50;

export class RingKeeper {
  readonly #finder: RingFinder<Kept>;
  #foundMs = Number.NEGATIVE_INFINITY;
  #rules: readonly EventRule[] = [];

  /** @param onUnreadable told once of each ring that cannot be read any more, and is left alone from then on */
  constructor(
    poolDir?: string,
    readonly onUnreadable: (path: string, reason: string) => void = () => {},
  ) {
    this.#finder = new RingFinder({
      poolDir,
      tries: TRIES,
      retryAfter: 0,
      retryAfterTold: Number.POSITIVE_INFINITY,
      isFolderTold: true,
      onRelease: (_path, { ring }) => ring.close(),
    });
  }

  /** How soon the next round is due: soon where there are rings, else when some are looked for. */
  get everyMs(): number {
    return this.#finder.held.size > 0 ? BUSY_MS : FIND_MS;
  }

  /** Makes room in each ring. */
  round(nowMs = performance.now()): void {
    if (nowMs - this.#foundMs >= FIND_MS) {
      this.#foundMs = nowMs;
      this.#finder.find(nowMs, ({ path }) => this.#open(path));
      for (const [path, { ring }] of this.#finder.held) {
        // What it has left tells why it died.
        if (!ring.isWritten) this.#finder.release(path);
      }
      // The time of some may be over.
      this.follow({ rules: this.#rules });
    }
    for (const [path, kept] of this.#finder.held) {
      this.#attempt(path, () => makeRoom(kept));
    }
  }

  /** Stores in each ring what its writer is to record. @returns in how many */
  follow(change: RulesChange): number {
    this.#rules = change.rules;
    let rings = 0;
    for (const [path, { controlled }] of this.#finder.held) {
      this.#attempt(path, () => {
        if (controlled.follow(change)) rings++;
      });
    }
    return rings;
  }

  close(): void {
    this.#finder.close();
  }

  /** A ring that cannot be read any more is left alone. */
  #attempt(path: string, attempt: () => void): void {
    try {
      attempt();
    } catch (error) {
      this.#finder.release(path);
      this.onUnreadable(path, (error as Error).message);
    }
  }

  /** @throws Error where there is no living writer's ring */
  #open(path: string): Kept | NotTaken {
    const ring = OpenRing.open(path, { uids: ownUids() }, true);
    try {
      if (!ring.isWritten) throw new Error("its writer has ended, or has just begun");
      const lease = leaseOf(ring);
      // Another agent keeps it, whose turn ends with its life.
      if (lease === undefined) {
        ring.close();
        return "busy";
      }
      const controlled = new ControlledRing(ring.header, lease.control, (control) =>
        lease.storeControl(control),
      );
      controlled.follow({ rules: this.#rules });
      return { ring, lease, controlled };
    } catch (error) {
      ring.close();
      throw error;
    }
  }
}

interface Kept {
  ring: OpenRing;
  lease: Lease;
  controlled: ControlledRing;
}

/** Undefined for a ring that another agent keeps, or that cannot be read any more. */
function leaseOf(ring: OpenRing): Lease | undefined {
  try {
    const lease = Lease.take(ring);
    if (lease === undefined) return undefined;
    // The last holder may have died between its stores. A block that it has begun may be in a spool.
    const { pending, total, timeline } = lease;
    lease.storeTotal(pending, pending === total ? timeline : undefined);
    lease.storePosition(lease.total);
    return lease;
  } catch {
    return undefined;
  }
}

/** @throws RingFormatError for a file that was cut short */
function makeRoom({ ring, lease }: Kept): void {
  const words = Math.floor((ring.header.ringBytes / 8) * KEPT_SHARE);
  const { total } = lease;
  const position = ring.reader.leave(words);
  lease.storeTotal(total + ((position - total) >>> 0), ring.reader.timeline);
  lease.storePosition(lease.total);
}
