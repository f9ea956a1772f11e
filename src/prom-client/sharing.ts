// What puts a metric's children into shared memory: one client for the thread, and who has which name.
//
// prom-client allows what a pool does not: one name in several registries, or declared again in another way, any label
// values, any bounds. What cannot be shared is kept in private memory and told of once; the caller sees no difference.

import {
  type Counter,
  Family,
  type Gauge,
  type Histogram,
  MicroView,
  warnOnStderr,
} from "../client/index.ts";
import { cutTo, LIMITS } from "../layout/index.ts";
import type { ApiError } from "../rest/index.ts";
import { defaultApp, defaultService } from "./identity.ts";
import { type Labels, labelText } from "./labels.ts";

export type Handle = Counter | Gauge | Histogram;

/** A child as sharing sees it: something that stores by a handle, which may be exchanged. */
export interface Holder<H extends Handle> {
  handle: H | undefined;
}

/** How the series of one metric are made. */
export interface Shape<H extends Handle> {
  readonly name: string;
  readonly labelNames: readonly string[];
  /** Declares the metric. @throws Error when it breaks a rule of the pool's */
  declare(client: MicroView): H | Family<H>;
  /** A handle on memory that nobody else reads, with the values of another. */
  alone(from?: H): H;
  /** Leaves a series that is gone as if it had never been. */
  clear(handle: H): void;
}

export interface SharingOptions {
  /** The trust domain that services share. Default: MICROVIEW_APP, else "default". */
  app?: string;
  /** This microservice. Default: MICROVIEW_SERVICE, else the name in the program's package.json. */
  service?: string;
  /** The agent's Unix socket. Default: MICROVIEW_SOCKET, else the one in the run directory. */
  socket?: string;
  /** Where this process sees pools. Default: MICROVIEW_POOL_DIR, else where the agent says. */
  poolDir?: string;
  /** Series of one metric that are shared; more stay private. Default: 10,000, as the agent's own limit. */
  seriesPerMetricMax?: number;
  /**
   * How often `collect()` of metrics is called for who reads the pool, in ms, while there is an agent. Default: 10,000;
   * 0 is never: they then have the values of the last `metrics()` or `get()`.
   */
  collectIntervalMs?: number;
  /** Receives, once each, what is not shared and why; default writes a line to stderr. */
  onWarning?: (warning: ApiError) => void;
}

const SERIES_PER_METRIC_MAX = 10_000;
/** Of a summary, whose range nobody declares. */
const CUT_OFF = "this process's own text has its quantiles as they are";

let options: SharingOptions = {};
/** Undefined before the first metric; null when there can be none. */
let client: MicroView | null | undefined;

/**
 * Says where metrics are shared. Only before the first metric is made.
 * @throws Error afterwards
 */
export function configure(given: SharingOptions): void {
  if (client !== undefined) {
    throw new Error("configure() comes too late: call it before the first metric is made");
  }
  options = { ...given };
}

export function sharingOptions(): Readonly<SharingOptions> {
  return options;
}

/** The client whose series the metrics are; undefined before the first metric. */
export function microview(): MicroView | undefined {
  return client ?? undefined;
}

function connect(): MicroView | null {
  try {
    return new MicroView({
      app: options.app ?? defaultApp(),
      service: cutTo(options.service ?? defaultService(), LIMITS.serviceNameBytes),
      onWarning: (what) => tell(what.code === "out-of-range" ? { ...what, hint: CUT_OFF } : what),
      ...(options.socket === undefined ? {} : { socket: options.socket }),
      ...(options.poolDir === undefined ? {} : { poolDir: options.poolDir }),
    });
  } catch (error) {
    tell(warning("not-shared", (error as Error).message, "no metric is shared"));
    return null;
  }
}

/** A metric's name in the pool, and which of its series are in use. */
class Claim<H extends Handle> {
  readonly family: H | Family<H>;
  /** Who has it. The claim alone does not keep a metric alive. */
  readonly owner: WeakRef<object>;
  readonly #shape: Shape<H>;
  readonly #holders = new Map<H, Holder<H>>();
  /** Label values of all series that the pool has, or will have. */
  readonly #series: Map<H, readonly string[]>;
  /** Series that nobody holds, since the last look and before it. A child that is made again finds its own there. */
  #idle = new Set<H>();
  #idleBefore = new Set<H>();

  /** @param before who had the name until now */
  constructor(family: H | Family<H>, owner: object, shape: Shape<H>, before?: Claim<H>) {
    this.family = family;
    this.#series = before?.family === family ? before.#series : new Map();
    this.#idle = new Set(this.#series.keys());
    this.owner = new WeakRef(owner);
    this.#shape = shape;
  }

  /** A series' handle, or why there is none. */
  take(labels: Labels, holder: Holder<H>): H | string {
    const handle = this.#handle(labels);
    if (typeof handle === "string") return handle;
    // Labels that differ for prom-client and not for a pool: one left out, and one that is empty.
    if (this.#holders.has(handle)) return "another child has the same labels";
    this.#holders.set(handle, holder);
    this.#idle.delete(handle);
    this.#idleBefore.delete(handle);
    return handle;
  }

  give(handle: H): void {
    if (!this.#holders.delete(handle)) return;
    this.#shape.clear(handle);
    if (this.family instanceof Family) this.#idle.add(handle);
    lookForIdle();
  }

  /** Makes all that hold series go on alone. */
  evict(): void {
    for (const [handle, holder] of this.#holders) {
      holder.handle = this.#shape.alone(handle);
      this.#shape.clear(handle);
    }
    this.#holders.clear();
  }

  /** Gives the pool back what has been idle for one look. */
  forgetIdle(): void {
    this.#forget(this.#idleBefore);
    this.#idleBefore = this.#idle;
    this.#idle = new Set();
  }

  #forget(handles: Set<H>): void {
    for (const handle of handles) {
      (this.family as Family<H>).remove(...this.#series.get(handle)!);
      this.#series.delete(handle);
    }
    handles.clear();
  }

  #handle(labels: Labels): H | string {
    if (!(this.family instanceof Family)) return this.family;
    const max = options.seriesPerMetricMax ?? SERIES_PER_METRIC_MAX;
    if (this.#series.size >= max) {
      this.#forget(this.#idleBefore);
      this.#forget(this.#idle);
      if (this.#series.size >= max) return `it has ${max} series`;
    }
    try {
      const values = this.#shape.labelNames.map((name) => labelText(labels[name]) ?? "");
      const handle = this.family.labels(...values);
      this.#series.set(handle, values);
      return handle;
    } catch (error) {
      return (error as Error).message;
    }
  }
}

const claims = new Map<string, Claim<Handle>>();

const IDLE_LOOK_MS = 30_000;
let idleLook: Timer | undefined;

/** From now on, what was removed and is not made again within a look or two is forgotten by the pool, too. */
function lookForIdle(): void {
  if (idleLook !== undefined) return;
  idleLook = setInterval(forgetIdle, IDLE_LOOK_MS);
  idleLook.unref();
}

/** One look. */
export function forgetIdle(): void {
  for (const claim of claims.values()) claim.forgetIdle();
}

/** A metric's share of the pool. Gives its children handles: on pages when it can, on private memory when not. */
export class Share<H extends Handle> {
  readonly #shape: Shape<H>;
  readonly #claim: Claim<H> | undefined;

  /**
   * @param owner the metric
   * @param isInUse whether a metric that has the name already still needs it
   */
  constructor(owner: object, isInUse: (owner: object) => boolean, shape: Shape<H>) {
    this.#shape = shape;
    this.#claim = claim(owner, isInUse, shape);
  }

  take(labels: Labels, holder: Holder<H>): H {
    // Evicted since: the name is another's.
    if (this.#claim === undefined || claims.get(this.#shape.name) !== (this.#claim as unknown)) {
      return this.#shape.alone();
    }
    const handle = this.#claim.take(labels, holder);
    if (typeof handle !== "string") return handle;
    const { name } = this.#shape;
    warn(`${name} is not shared with all its children: ${handle}`, PRIVATE, name);
    return this.#shape.alone();
  }

  /** Takes back the handle of a child that is gone. */
  give(handle: H): void {
    this.#claim?.give(handle);
  }
}

function claim<H extends Handle>(
  owner: object,
  isInUse: (owner: object) => boolean,
  shape: Shape<H>,
): Claim<H> | undefined {
  client ??= connect();
  if (client === null) return undefined;
  const { name } = shape;
  const known = claims.get(name);
  const knownOwner = known?.owner.deref();
  if (knownOwner !== undefined && isInUse(knownOwner)) {
    warn(`${name} is shared already by another metric of that name, and this one is not`);
    return undefined;
  }
  known?.evict();
  claims.delete(name);
  try {
    const made = new Claim(shape.declare(client), owner, shape, known as unknown as Claim<H>);
    claims.set(name, made as unknown as Claim<Handle>);
    return made;
  } catch (error) {
    warn(`${name} is not shared: ${(error as Error).message}`);
    return undefined;
  }
}

const PRIVATE = "it counts in private memory";
const warned = new Set<string>();
const WARNINGS_MAX = 100;

/** Tells once, and only when there is an agent to share with. @param key what counts as the same */
export function warn(message: string, hint = PRIVATE, key = message): void {
  if (warned.has(key) || warned.size >= WARNINGS_MAX) return;
  warned.add(key);
  const what = warning("not-shared", message, hint);
  client?.onReady(() => tell(what));
}

function warning(code: string, message: string, hint: string): ApiError {
  return { code, message, hint };
}

function tell(what: ApiError): void {
  if (options.onWarning !== undefined) options.onWarning(what);
  else warnOnStderr(what);
}
