// Makes the file of this thread's ring, and keeps the number of files bounded: rings of ended writers stay until their
// application has too many, the oldest go first.

import { lstatSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { threadId } from "node:worker_threads";
import {
  measureTicksPerMs,
  monotonicNs,
  openOwned,
  SharedFile,
  ticker,
  unixMs,
  WriterHold,
} from "../../ffi/index.ts";
import {
  type Anchor,
  appOfRingInShm,
  encodeRingHeader,
  finishRingHeader,
  isRingFile,
  RING_MAGIC,
  RINGS_PER_APP,
  type RingGeometry,
  ringGeometry,
  ringPath,
} from "../../layout/index.ts";
import { processFacts } from "./process.ts";
import type { RingClock, RingMemory } from "./ring-writer.ts";

/** Rings belong to the user of the service alone. */
const MODE = 0o600;
/** The shipper a ring has the lock of its position. */
const LEASE_BYTES = 8;
/** The maker of a ring locks it at once; a file without lock and magic that is this old was left by somebody who died. */
const UNLOCKED_MS = 10_000;

let clock: RingClock | undefined;

/** The clock of this thread's rings. Where the native part cannot be loaded there will be no ring either. */
export function makeClock(): RingClock {
  clock ??= shimClock() ?? { ticks: () => 0, ticksPerMs: 1, anchor: () => NEVER };
  return clock;
}

const NEVER: Anchor = { tick: 0, monotonicNs: 0, unixMs: 0 };

function shimClock(): RingClock | undefined {
  try {
    const ticks = ticker();
    const ticksPerMs = measureTicksPerMs();
    const anchor = () => anchorOf({ ticks, monotonicNs, unixMs }, CLOSE_MS * ticksPerMs);
    return { ticks, ticksPerMs, anchor };
  } catch {
    return undefined;
  }
}

/** Readings that are no further apart belong together: a tenth of it is usual. */
const CLOSE_MS = 0.002;
const READINGS_MAX = 8;

/**
 * All three clocks at one instant. The first calls of a process take long, and a thread may be held up between two of
 * them, which would shift all that follows: the closest of some readings counts.
 */
export function anchorOf(
  clocks: { ticks(): number; monotonicNs(): number; unixMs(): number },
  closeTicks: number,
): Anchor {
  let anchor = NEVER;
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < READINGS_MAX && least > closeTicks; i++) {
    const before = clocks.ticks();
    const [monotonicNs, unixMs] = [clocks.monotonicNs(), clocks.unixMs()];
    const apart = clocks.ticks() - before;
    if (apart >= least) continue;
    least = apart;
    anchor = { tick: before + Math.floor(apart / 2), monotonicNs, unixMs };
  }
  return anchor;
}

/** A ring that others can read, as long as this thread lives and after. */
export interface RingFile {
  readonly memory: RingMemory;
  readonly geometry: RingGeometry;
  /** Where it is, for people. */
  readonly folder: string;
  /** Keeps others from shipping what is in it. @returns false when somebody does so already */
  reserve(): boolean;
  /** Lets others ship it again. */
  unreserve(): void;
  /** Removes the file, of which there is a copy. */
  remove(): void;
  /** Lets go of it. What was recorded stays. */
  close(): void;
}

/** Sixteen hex digits; the first half is in the id of each span, of which none may be 0. */
export function newRingId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  bytes[0]! |= 1;
  return Buffer.from(bytes).toString("hex");
}

/**
 * @param fill stores what the ring has from the beginning, before anybody takes it for one
 * @throws Error when there cannot be one: no room, no right, or too many that are in use
 */
export function makeRingFile(
  app: string,
  service: string,
  poolDir: string | undefined,
  ringId: string,
  clock: RingClock,
  fill?: (memory: RingMemory) => void,
): RingFile {
  const path = ringPath(app, ringId, poolDir);
  if (poolDir !== undefined) makeFolder(dirname(path));
  makeRoom(app, dirname(path), poolDir);
  const geometry = ringGeometry();
  const file = SharedFile.create(path, MODE);
  try {
    file.lock(geometry.stateOffset, geometry.shipperOffset - geometry.stateOffset);
    file.truncate(geometry.fileBytes);
    file.allocate(0, geometry.fileBytes);
    const hold = new WriterHold(file);
    const mapping = hold.map(0, geometry.fileBytes);
    const bytes = mapping.bytes();
    bytes.set(
      encodeRingHeader({
        ...geometry,
        ringId,
        app,
        service,
        pid: process.pid,
        threadId,
        ...processFacts(),
        start: clock.anchor(),
        ticksPerMs: clock.ticksPerMs,
      }),
    );
    const memory = memoryOf(mapping.buffer);
    fill?.(memory);
    finishRingHeader(bytes);
    return {
      ...{ memory, geometry, folder: dirname(path) },
      reserve: () => file.lock(geometry.shipperOffset, LEASE_BYTES),
      unreserve: () => file.unlock(geometry.shipperOffset, LEASE_BYTES),
      remove: () => rmSync(path, { force: true }),
      close: () => hold.close([mapping]),
    };
  } catch (error) {
    rmSync(path, { force: true });
    file.close();
    throw error;
  }
}

/** Memory that nobody else sees, in the place of a ring. */
export function privateMemory(geometry: RingGeometry): RingMemory {
  return memoryOf(new ArrayBuffer(geometry.fileBytes));
}

function memoryOf(buffer: ArrayBuffer): RingMemory {
  return { ints: new Int32Array(buffer), doubles: new Float64Array(buffer) };
}

/**
 * The application's folder, if no agent has made it yet. Only below a folder of this user: in another's, the agent that
 * makes it decides who may use it, and could not keep a pool in one that is this user's.
 */
function makeFolder(path: string): void {
  if (statSync(dirname(path)).uid !== process.geteuid?.()) return;
  try {
    mkdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

/** Removes the oldest rings whose writers have ended, until there may be one more. */
function makeRoom(app: string, folder: string, poolDir: string | undefined): void {
  const isOurs = (name: string) =>
    poolDir === undefined ? appOfRingInShm(name) === app : isRingFile(name);
  const names = readdirSync(folder).filter(isOurs);
  if (names.length < RINGS_PER_APP) return;
  // Anybody may put files with such names into /dev/shm: those of others do not count.
  const rings = names.flatMap((name) => {
    const path = `${folder}/${name}`;
    const found = lstatSync(path, { throwIfNoEntry: false });
    return found !== undefined && found.uid === process.geteuid?.()
      ? [{ path, madeMs: found.mtimeMs }]
      : [];
  });
  let excess = rings.length + 1 - RINGS_PER_APP;
  const byAge = rings.sort((a, b) => a.madeMs - b.madeMs);
  for (const { path, madeMs } of byAge) {
    const isOld = Date.now() - madeMs > UNLOCKED_MS;
    if (excess > 0 && removeEnded(path, isOld)) excess--;
  }
  if (excess > 0) {
    throw new Error(`${rings.length} rings of ${app} are in use, and ${RINGS_PER_APP} may be`);
  }
}

/** @param isOld so that it is removed whatever it is; otherwise it may be one that is being made */
function removeEnded(path: string, isOld: boolean): boolean {
  try {
    const file = openOwned(path, true, { uids: [process.geteuid?.() ?? 0] });
    try {
      const { stateOffset, shipperOffset } = ringGeometry();
      // Held until it is gone: of two that make room each removes another one.
      if (!file.lock(stateOffset, shipperOffset - stateOffset)) return false;
      // It has its magic when its maker has locked it: without the lock its writer has ended, however soon.
      if (!isOld && !isRing(file.head(RING_MAGIC.length))) return false;
      rmSync(path, { force: true });
      return true;
    } finally {
      file.close();
    }
  } catch {
    // Somebody else's, or gone by now.
    return false;
  }
}

function isRing(head: Uint8Array): boolean {
  return Buffer.from(head).toString("latin1") === RING_MAGIC;
}
