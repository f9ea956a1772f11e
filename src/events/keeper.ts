// Keeps rings from filling up while nobody ships what is in them: of each living writer's ring the newest part is kept,
// and the writer is told that it may use the rest. The agent does so, for the services of its own user.

import { ownUids } from "../ffi/index.ts";
import { Lease } from "./lease.ts";
import { OpenRing, ringsNamed } from "./rings.ts";
import { ControlledRing, type EventRule, type RulesChange } from "./settings.ts";

/** Below half, from which on spans are refused, by what a busy writer records from one round to the next. */
const KEPT_SHARE = 1 / 4;
/** How often files are looked for, and whether writers live. */
const FIND_MS = 1000;
const TRIES = 5;
/** A writer of 100,000 events a second fills a quarter of its ring meanwhile. */
const BUSY_MS = 50;

export class RingKeeper {
  readonly #poolDir: string | undefined;
  readonly #kept = new Map<string, Kept>();
  /** How often in a row rings were found that cannot be kept: their writers have ended, or have just begun. */
  readonly #passed = new Map<string, number>();
  #foundMs = Number.NEGATIVE_INFINITY;
  #rules: readonly EventRule[] = [];

  /** @param onUnreadable told once of each ring that cannot be read any more, and is left alone from then on */
  constructor(
    poolDir?: string,
    readonly onUnreadable: (path: string, reason: string) => void = () => {},
  ) {
    this.#poolDir = poolDir;
  }

  /** How soon the next round is due: soon where there are rings, else when some are looked for. */
  get everyMs(): number {
    return this.#kept.size > 0 ? BUSY_MS : FIND_MS;
  }

  /** Makes room in each ring. */
  round(nowMs = performance.now()): void {
    if (nowMs - this.#foundMs >= FIND_MS) {
      this.#foundMs = nowMs;
      this.#find();
      for (const [path, kept] of this.#kept) {
        // What it has left tells why it died.
        if (!kept.ring.isWritten) this.#release(path, kept);
      }
      // The time of some may be over.
      this.follow({ rules: this.#rules });
    }
    for (const [path, kept] of this.#kept) {
      this.#attempt(path, kept, () => makeRoom(kept));
    }
  }

  /** Stores in each ring what its writer is to record. @returns in how many */
  follow(change: RulesChange): number {
    this.#rules = change.rules;
    let rings = 0;
    for (const [path, kept] of this.#kept) {
      this.#attempt(path, kept, () => {
        if (kept.controlled.follow(change)) rings++;
      });
    }
    return rings;
  }

  close(): void {
    for (const [path, kept] of this.#kept) this.#release(path, kept);
  }

  /** A ring that cannot be read any more is left alone. */
  #attempt(path: string, kept: Kept, attempt: () => void): void {
    try {
      attempt();
    } catch (error) {
      this.#release(path, kept);
      this.onUnreadable(path, (error as Error).message);
    }
  }

  #find(): void {
    let named: ReturnType<typeof ringsNamed>;
    try {
      named = ringsNamed(this.#poolDir);
    } catch {
      // The folder of the pools is gone, which the agent itself tells.
      return;
    }
    const there = new Set(named.map(({ path }) => path));
    for (const path of this.#passed.keys()) if (!there.has(path)) this.#passed.delete(path);
    for (const { path } of named) {
      const tries = this.#passed.get(path) ?? 0;
      if (this.#kept.has(path) || tries >= TRIES) continue;
      if (!this.#open(path)) this.#passed.set(path, tries + 1);
    }
  }

  /** @returns false when there is no living writer's ring */
  #open(path: string): boolean {
    let ring: OpenRing;
    try {
      ring = OpenRing.open(path, { uids: ownUids() }, true);
    } catch {
      return false;
    }
    if (!ring.isWritten) {
      ring.close();
      return false;
    }
    const lease = leaseOf(ring);
    // Another agent keeps it, whose turn ends with its life.
    if (lease === undefined) {
      ring.close();
      return true;
    }
    const controlled = new ControlledRing(ring.header, lease.control, (control) =>
      lease.storeControl(control),
    );
    controlled.follow({ rules: this.#rules });
    this.#kept.set(path, { ring, lease, controlled });
    return true;
  }

  #release(path: string, { ring }: Kept): void {
    this.#kept.delete(path);
    this.#passed.set(path, TRIES);
    ring.close();
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
