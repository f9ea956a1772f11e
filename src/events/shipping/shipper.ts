// Ships the rings of a host: finds them, takes their leases, looks for news, and lets go of those whose writers have
// ended when a lake has all of theirs. It runs in the agent's thread for events (worker.ts).

import { rmSync, statSync } from "node:fs";
import { ForeignFileError, ownUids } from "../../ffi/index.ts";
import { findProcess, ProcessLook } from "../../identity/index.ts";
import { type BlockProcess, headerText, nsOfMs, type ProcessIdentity } from "../../layout/index.ts";
import { Lease } from "../lease.ts";
import { type NotTaken, RingFinder } from "../ring-finder.ts";
import { type NamedRing, OpenRing } from "../rings.ts";
import type { EventRule, RulesChange } from "../settings.ts";
import type { Identify } from "./protocol.ts";
import { ShippedRing, type ShippingContext } from "./shipped-ring.ts";
import { Turns } from "./turns.ts";
import { Users } from "./users.ts";

export interface ShipperOptions extends ShippingContext {
  poolDir?: string;
  /** What this host is called in rows. */
  host: string;
  /** Ships rings of all users, as only root can. */
  isForAll: boolean;
  /** For tests. */
  clockMs?: () => number;
  /** Tells who a process is; where nobody does, rows go without container and pod. */
  identify?: Identify;
  /** Told once of each file that has a ring's name and is left alone. */
  onUnreadable: (path: string, reason: string) => void;
}

/** How often files are looked for: a thread that begins at full load fills half of its ring meanwhile. */
const FIND_MS = 100;
/** How often it is looked whether writers live. */
const LIVES_MS = 1000;
/** How often what little is new becomes a block. */
const FLUSH_MS = 500;
const BUSY_MS = 20;
const IDLE_MS = 50;
/** How long a round may take for all users; the agent sends between rounds. */
const ROUND_MS = 50;
const LAST_ROUND_MS = 5000;
/** When there is more to do at once. */
const AT_ONCE_MS = 1;
/** A spool that takes nothing is asked again after this. */
const SPOOL_RETRY_MS = 500;
/** A file that cannot be read may be a ring whose writer has just begun. */
const TRIES = 20;
/** How long a ring waits for who has recorded it. */
const IDENTIFY_MS = 1000;
/** What is left alone may be another file by now, or may be shipped because others have gone. */
const AGAIN_MS = 30_000;
/** One that could be read once, or whose file cannot be removed, rarely is another one. */
const AGAIN_RARELY_MS = 600_000;
/** Anybody may make files with names of rings: at a time so many are tried again. */
const AGAIN_MAX = 256;
const RINGS_MAX = 8192;
const RINGS_PER_USER_MAX = 1024;
/** Twice of what so many have that are as services make them. */
const RING_BYTES_PER_USER_MAX = 2 ** 31;

export class Shipper {
  readonly #options: ShipperOptions;
  readonly #finder: RingFinder<ShippedRing>;
  readonly #uids = new Map<string, number>();
  readonly #users = new Users();
  readonly #turns = new Turns<ShippedRing>();
  #foundMs = Number.NEGATIVE_INFINITY;
  #livesMs = Number.NEGATIVE_INFINITY;
  #flushedMs = Number.NEGATIVE_INFINITY;
  #retryMs = Number.NEGATIVE_INFINITY;
  #isBusy = false;
  /** Whether the last round has left something. */
  #isBehind = false;
  #rules: readonly EventRule[] = [];
  /** Words that no block has: they were overwritten, or a head was forged. */
  #skippedWords = 0;
  #skippedRecords = 0;

  constructor(options: ShipperOptions) {
    this.#options = options;
    this.#finder = new RingFinder({
      poolDir: options.poolDir,
      tries: TRIES,
      retryAfter: 0,
      retryAfterTold: AGAIN_MS,
      retriesMax: AGAIN_MAX,
      ringsMax: RINGS_MAX,
      isFolderTold: true,
      onUnopened: options.onUnreadable,
      onRelease: (path, shipped) => this.#released(path, shipped),
    });
  }

  /** How soon the next round is due. */
  get everyMs(): number {
    if (this.#isBehind) return AT_ONCE_MS;
    return this.#isBusy ? BUSY_MS : IDLE_MS;
  }

  get ringCount(): number {
    return this.#finder.held.size;
  }

  get skippedWords(): number {
    return [...this.#finder.held.values()].reduce(
      (sum, each) => sum + each.skippedWords,
      this.#skippedWords,
    );
  }

  /** Records that this version does not know, and has left out. */
  get skippedRecords(): number {
    return [...this.#finder.held.values()].reduce(
      (sum, each) => sum + each.skippedRecords,
      this.#skippedRecords,
    );
  }

  /** @returns whether blocks were made that may be sent at once */
  round(nowMs = performance.now(), roundMs = ROUND_MS): boolean {
    if (nowMs - this.#foundMs >= FIND_MS) {
      this.#foundMs = nowMs;
      const look = new ProcessLook();
      this.#finder.find(nowMs, (named) => this.#take(named, look));
    }
    const isDeathDue = nowMs - this.#livesMs >= LIVES_MS;
    if (isDeathDue) {
      this.#livesMs = nowMs;
      // The time of some rules may be over.
      this.follow({ rules: this.#rules });
    }
    const isFlush = nowMs - this.#flushedMs >= FLUSH_MS;
    if (isFlush) this.#flushedMs = nowMs;
    for (const { due } of this.#finder.held.values()) {
      due.isFlush ||= isFlush;
      due.isDeath ||= isDeathDue;
    }
    this.#isBehind = false;
    if (nowMs < this.#retryMs) return false;
    this.#isBusy = false;
    const { clockMs = () => performance.now() } = this.#options;
    let isTaken = true;
    let isAnyBehind = false;
    const isAll = this.#turns.round(
      (shipped, isOver) => {
        try {
          isTaken = this.#look(shipped, isOver);
          isAnyBehind ||= shipped.isBehind;
        } catch (error) {
          this.#leave(shipped.path, error as Error);
        }
        return isTaken;
      },
      { roundMs, clockMs },
    );
    if (!isTaken) this.#retryMs = nowMs + SPOOL_RETRY_MS;
    else this.#isBehind = isAnyBehind || !isAll;
    return isFlush && isTaken && !this.#isBehind;
  }

  /** Stores in each ring what its writer is to record. @returns in how many */
  follow(change: RulesChange): number {
    this.#rules = change.rules;
    let rings = 0;
    for (const [path, { controlled }] of this.#finder.held) {
      try {
        if (controlled.follow(change)) rings++;
      } catch (error) {
        this.#leave(path, error as Error);
      }
    }
    return rings;
  }

  /** Ships what is there now. */
  flush(): void {
    this.#flushedMs = Number.NEGATIVE_INFINITY;
    this.#foundMs = Number.NEGATIVE_INFINITY;
    this.#livesMs = Number.NEGATIVE_INFINITY;
    this.round(performance.now(), LAST_ROUND_MS);
  }

  close(): void {
    this.#finder.close();
  }

  /** @returns false when the spool takes nothing */
  #look(shipped: ShippedRing, isOver: () => boolean): boolean {
    const { due } = shipped;
    // Looked at first: what was recorded before the writer's end is there then.
    const isWritten = !due.isDeath || shipped.ring.isWritten;
    const { isBusy } = shipped;
    if (isBusy) this.#isBusy = true;
    const isHeld = shipped.isHeld && !isBusy;
    if ((isBusy || due.isFlush || !isWritten) && !isHeld) {
      if (!shipped.ship(isWritten, isOver)) return false;
      if (shipped.isBehind) {
        due.isFlush = true;
        return true;
      }
      if (!isWritten && !this.#end(shipped)) return false;
    }
    due.isFlush = false;
    due.isDeath = false;
    return true;
  }

  /** @returns false when the spool takes nothing */
  #end(shipped: ShippedRing): boolean {
    if (!shipped.end()) return false;
    if (shipped.spooled !== undefined) return true;
    removeFile(shipped);
    this.#options.step?.("removed");
    this.#finder.forget(shipped.path);
    return true;
  }

  /** @throws Error saying why it cannot be shipped */
  #take({ app, path }: NamedRing, look: ProcessLook): ShippedRing | NotTaken {
    const { isForAll } = this.#options;
    let ring: OpenRing | undefined;
    try {
      ring = OpenRing.open(path, { uids: ownUids(), isAnyUser: isForAll }, true);
      const { uid, inode, device } = ring.file.stat();
      const reason = this.#whyNot(ring, app, path, uid);
      if (reason !== undefined) throw new Error(reason);
      const lease = Lease.take(ring);
      if (lease === undefined) {
        // Another agent ships it, whose turn ends with its life.
        ring.close();
        return "busy";
      }
      const { stateOffset: offset, shipperOffset, pid } = ring.header;
      const lock = { offset, bytes: shipperOffset - offset };
      const seen = findProcess(pid, { inode, device }, lock, look);
      const process = this.#process(ring, uid);
      const shipped = new ShippedRing(path, ring, lease, process, this.#options);
      const { identify } = this.#options;
      if (seen !== undefined && identify !== undefined) {
        void shipped.hold(identify(seen).then(namesOf), IDENTIFY_MS);
      }
      shipped.controlled.follow({ rules: this.#rules });
      this.#uids.set(path, uid);
      this.#turns.add(uid, shipped);
      return shipped;
    } catch (error) {
      ring?.close();
      // Nobody has to be told: other users have rings too.
      if (isNotForUs(error)) return "foreign";
      throw error;
    }
  }

  /**
   * Names and ids are what the file's owner has written there, and may be another one's. So an id counts beside its user
   * and application, in the spool and in a lake alike: a copy of one stands in nobody's way.
   */
  #whyNot(ring: OpenRing, app: string, path: string, uid: number): string | undefined {
    const { header } = ring;
    if (header.app !== app) return `it says that it is of ${header.app}`;
    if (!path.endsWith(header.ringId)) return `it says that it is ${header.ringId}`;
    const others = this.#turns.of(uid);
    if (others.size >= RINGS_PER_USER_MAX) return `user ${uid} has ${others.size} rings already`;
    // Not by what the header says of the whole file, which nothing holds it to.
    let bytes = header.ringBytes;
    for (const each of others) bytes += each.ring.header.ringBytes;
    if (bytes > RING_BYTES_PER_USER_MAX)
      return `with it rings of user ${uid} had ${bytes} bytes, of ${RING_BYTES_PER_USER_MAX}`;
    return undefined;
  }

  #process({ header }: OpenRing, uid: number): BlockProcess {
    const { app, pid, processStartUnixMs } = header;
    // The service has written these, and may have written U+0000.
    const [service, exe, runtime] = [header.service, header.exe, header.runtime].map((text) =>
      headerText(text),
    ) as [string, string, string];
    // A program may have several services, and its id is what its owner has written there: of each user, application and
    // service it is another one, so that nobody's rows become somebody else's.
    const identity = JSON.stringify([header.processId, uid, app, service]);
    const processId = new Bun.CryptoHasher("sha256").update(identity).digest("hex").slice(0, 32);
    return {
      ...{ processId, app, service, pid, exe, runtime },
      startNs: String(nsOfMs(processStartUnixMs)),
      host: this.#options.host,
      user: this.#users.name(uid),
    };
  }

  /** A ring that cannot be read any more, or whose file cannot be removed when all is shipped. */
  #leave(path: string, { message }: Error): void {
    this.#finder.release(path, AGAIN_RARELY_MS);
    this.#options.onUnreadable(path, message);
  }

  #released(path: string, shipped: ShippedRing): void {
    this.#skippedWords += shipped.skippedWords;
    this.#skippedRecords += shipped.skippedRecords;
    this.#turns.remove(this.#uids.get(path)!, shipped);
    this.#uids.delete(path);
    shipped.close();
  }
}

function isNotForUs(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return error instanceof ForeignFileError || code === "EACCES" || code === "EPERM";
}

function namesOf(identity: ProcessIdentity | undefined): Partial<BlockProcess> {
  const { containerId: container = "", podName: pod = "", namespace = "" } = identity ?? {};
  return {
    ...(container === "" ? {} : { container }),
    ...(pod === "" ? {} : { pod }),
    ...(namespace === "" ? {} : { namespace }),
  };
}

/** Only if the name still leads to this very file. */
function removeFile({ path, ring }: ShippedRing): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.ino === ring.file.stat().inode) rmSync(path, { force: true });
}
