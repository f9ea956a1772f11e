// Follows the rings of services: hands out rows as events come, a span as one row at its end, and what was refused.

import { statSync } from "node:fs";
import { ownUids, unixMs } from "../ffi/index.ts";
import {
  type EventProperties,
  type Level,
  type Refusals,
  type RingEvent,
  type RingHeader,
  SPAN_NAME_PROPERTY,
  type SpanKind,
} from "../layout/index.ts";
import { type NotTaken, RingFinder } from "./ring-finder.ts";
import { type NamedRing, OpenRing, ringsNamed } from "./rings.ts";

interface Row {
  timeMs: number;
  app: string;
  service: string;
  pid: number;
  /** 0 is the main thread. */
  thread: number;
}

interface LogRow extends Row {
  kind: "log";
  level: Level;
  message: string;
  properties: EventProperties;
  spanId: string | undefined;
  truncated: boolean;
}

interface MeasureRow extends Row {
  kind: "measure";
  name: string;
  unit: string;
  value: number;
  properties: EventProperties;
  truncated: boolean;
}

/** `lost`: its writer died before its end. `open`: it goes on. */
interface SpanRow extends Row {
  kind: "span";
  name: string;
  target: string;
  spanKind: SpanKind;
  status: "ok" | "error" | "lost" | "open";
  durationMs: number | undefined;
  spanId: string;
  parentId: string | undefined;
  depth: number;
  traceId: string;
  /** Of its beginning and its end. */
  properties: EventProperties;
}

/** What a ring has refused since the row before. */
interface RefusedRow extends Row, Refusals {
  kind: "refused";
}

/** Something about a ring itself: its clock was set, or a part of it cannot be read. */
interface NoteRow extends Row {
  kind: "clock" | "damaged" | "missed" | "skipped";
  message: string;
}

export type EventRow = LogRow | MeasureRow | SpanRow | RefusedRow | NoteRow;

interface FollowOptions {
  poolDir?: string | undefined;
  /** Which applications and services are read. */
  wantsApp: (app: string) => boolean;
  wantsService: (service: string) => boolean;
  /** Told once of each file that has a ring's name and is left alone. */
  onUnreadable: (path: string, reason: string) => void;
}

/** Spans of a ring that have not ended; of more, the oldest are forgotten. */
const OPEN_SPANS_MAX = 16_384;
/** Reads of one ring in a round: a writer that is quicker than this reader does not keep it for itself. */
const READS_PER_ROUND = 8;
/** A file that could not be read is tried again after so many rounds, and told when it fails again. */
const RETRY_ROUNDS = 20;
const TRIES = 2;

interface Followed {
  ring: OpenRing;
  spans: Map<string, RingEvent & { kind: "begin" }>;
  refusals: Refusals;
  /** It was told that its writer is of another version. */
  hasSkipped: boolean;
}

const NONE: Refusals = { spans: 0, measures: 0, logs: 0, severe: 0, failed: 0 };

export class EventFollower {
  readonly #options: FollowOptions;
  /** Its time is counted in rounds. */
  readonly #finder: RingFinder<Followed>;
  #round = 0;

  constructor(options: FollowOptions) {
    this.#options = options;
    this.#finder = new RingFinder({
      poolDir: options.poolDir,
      tries: TRIES,
      retryAfter: RETRY_ROUNDS,
      retryAfterTold: RETRY_ROUNDS,
      onUnopened: options.onUnreadable,
      onRelease: (_path, { ring }) => ring.close(),
    });
  }

  /** How many rings were found so far that are wanted. */
  ringsSeen = 0;

  /**
   * Everything that was recorded since the last call, in the order of time.
   * @param isLast no more is asked for: spans that are open are given too
   * @throws Error saying why rings cannot be looked for
   */
  next(isLast = false): EventRow[] {
    this.#finder.find(++this.#round, (named) => this.#open(named));
    const rows: EventRow[] = [];
    for (const [path, followed] of this.#finder.held) {
      // Looked at first: what was recorded before the writer's end is there then.
      const isWritten = followed.ring.isWritten;
      let isAll: boolean;
      try {
        isAll = this.#read(followed, rows);
        this.#tellSkipped(followed, rows);
        this.#tellRefusals(followed, rows);
      } catch (error) {
        // What it had so far was given.
        this.#finder.release(path);
        this.#options.onUnreadable(path, (error as Error).message);
        continue;
      }
      if (!isWritten && isAll) {
        this.#leaveOpen(followed, "lost", rows);
        this.#finder.release(path);
      } else if (isLast) this.#leaveOpen(followed, "open", rows);
    }
    // Rows of one ring keep their order: sorting is stable, and they come in it.
    return rows.sort((a, b) => a.timeMs - b.timeMs);
  }

  /** What there is besides the rings that are wanted: services as `app/service`, and how many rings other users have. */
  others(): { services: string[]; foreign: number } {
    const { poolDir } = this.#options;
    const uids = ownUids();
    const services = new Set<string>();
    let foreign = 0;
    for (const { path } of ringsNamed(poolDir)) {
      const owner = statSync(path, { throwIfNoEntry: false })?.uid;
      if (owner !== undefined && !uids.includes(owner)) foreign++;
      else if (!this.#finder.held.has(path)) {
        const name = serviceOf(path, {
          uids,
          ...(poolDir === undefined ? {} : { folder: poolDir }),
        });
        if (name !== undefined) services.add(name);
      }
    }
    return { services: [...services].sort(), foreign };
  }

  close(): void {
    this.#finder.close();
  }

  #open({ app, path }: NamedRing): Followed | NotTaken {
    const { poolDir, wantsApp, wantsService } = this.#options;
    if (!wantsApp(app)) return "unwanted";
    const owners = { uids: ownUids(), ...(poolDir === undefined ? {} : { folder: poolDir }) };
    const ring = OpenRing.open(path, owners);
    if (ring.header.app !== app || !wantsService(ring.header.service)) {
      ring.close();
      return "unwanted";
    }
    this.ringsSeen++;
    return { ring, spans: new Map(), refusals: NONE, hasSkipped: false };
  }

  /** @returns whether all was read */
  #read(followed: Followed, rows: EventRow[]): boolean {
    for (let reads = 0; reads < READS_PER_ROUND; reads++) {
      const { reader } = followed.ring;
      for (const event of reader.read()) this.#row(followed, event, rows);
      if (reader.isAtHead) return true;
    }
    return false;
  }

  #row({ ring, spans }: Followed, event: RingEvent, rows: EventRow[]): void {
    const from = fromOf(ring.header, event.timeMs);
    switch (event.kind) {
      case "log":
      case "measure":
        rows.push({ ...from, ...event });
        return;
      case "begin":
        spans.set(event.spanId, event);
        if (spans.size > OPEN_SPANS_MAX) spans.delete(spans.keys().next().value!);
        return;
      case "end": {
        const begin = spans.get(event.spanId);
        // Its beginning was before what can still be read.
        if (begin === undefined) return;
        spans.delete(event.spanId);
        const { status, properties } = event;
        rows.push(spanRow(from, begin, status, event.timeMs - begin.timeMs, properties));
        return;
      }
      case "clock": {
        const { stepMs } = event;
        const message = `the clock was set ${stepMs > 0 ? "forward" : "back"} by ${Math.abs(stepMs).toFixed(0)} ms`;
        rows.push({ ...from, kind: event.kind, message });
        return;
      }
      case "gap":
        // The counters of the state page tell it sooner.
        return;
    }
    rows.push({ ...from, kind: event.kind, message: event.reason });
  }

  /** Once for each ring: there may be many. */
  #tellSkipped(followed: Followed, rows: EventRow[]): void {
    const { ring, hasSkipped } = followed;
    if (hasSkipped || ring.reader.skipped === 0) return;
    followed.hasSkipped = true;
    const message = "records that this microview does not know are left out";
    rows.push({ ...fromOf(ring.header, unixMs()), kind: "skipped", message });
  }

  #tellRefusals(followed: Followed, rows: EventRow[]): void {
    const { ring, refusals: before } = followed;
    const now = ring.reader.refusals;
    const kinds = Object.keys(NONE) as (keyof Refusals)[];
    if (kinds.every((kind) => now[kind] <= before[kind])) return;
    followed.refusals = now;
    const since = { ...NONE };
    for (const kind of kinds) since[kind] = Math.max(0, now[kind] - before[kind]);
    rows.push({ ...fromOf(ring.header, unixMs()), kind: "refused", ...since });
  }

  #leaveOpen({ ring, spans }: Followed, status: "lost" | "open", rows: EventRow[]): void {
    for (const begin of spans.values()) {
      rows.push(spanRow(fromOf(ring.header, begin.timeMs), begin, status, undefined));
    }
  }
}

function serviceOf(path: string, owners: Parameters<typeof OpenRing.open>[1]): string | undefined {
  try {
    const ring = OpenRing.open(path, owners);
    const { app, service } = ring.header;
    ring.close();
    return `${app}/${service}`;
  } catch {
    // It is gone, or no ring.
    return undefined;
  }
}

function fromOf({ app, service, pid, threadId: thread }: RingHeader, timeMs: number): Row {
  return { timeMs, app, service, pid, thread };
}

function spanRow(
  from: Row,
  begin: RingEvent & { kind: "begin" },
  status: SpanRow["status"],
  durationMs: number | undefined,
  ended: EventProperties = {},
): SpanRow {
  const { target, spanKind, spanId, parentId, depth, traceId } = begin;
  const name = String(ended[SPAN_NAME_PROPERTY] ?? begin.name);
  const what = { name, target, spanKind, status, durationMs, spanId, parentId, depth, traceId };
  return { ...from, kind: "span", ...what, properties: { ...begin.properties, ...ended } };
}
