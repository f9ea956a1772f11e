// A pool without a file: its directory is written out of definitions, as an agent would have written it, and its slots
// lie in private memory. For whoever has values and wants them shown as a pool's are: what a program tells of itself,
// what a recording has, and what a test or a bench makes up.

import { LIMITS, PAGE_HEADER_SLOTS, POOL_DEFAULTS, SLOTS_PER_PAGE } from "../constants.ts";
import { type MetricDefinition, slotsPerSeries } from "../definitions/metric.ts";
import { Directory } from "../memory/directory.ts";
import type { ReadPlan } from "../memory/read-plan.ts";
import { RecordWriter, WRITER_FLAGS } from "../memory/records.ts";
import { Gather } from "./gather.ts";
import { type Structure, Structures, type Wants } from "./structure.ts";

/** A writer of a service. What is left out is nobody's: pid and thread 0, a start that is not known. */
interface BuiltWriter {
  /** One that no living writer has; left out for the next. */
  id?: number;
  pid?: number;
  threadId?: number;
  /** Unix ms. */
  startedAtMs?: number;
  /** It keeps the counts of the dead. */
  retained?: boolean;
}

/** Where the values of a series are among {@link PoolBuilder.slots}. */
export interface BuiltPlace {
  series: number;
  /** Index of its first slot. */
  at: number;
  slots: number;
}

const MAX_PAGES = POOL_DEFAULTS.pageCapacity;

export class PoolBuilder {
  /** Values of the series, not a number until they are stored. It is another array when it has grown. */
  slots = new Float64Array();
  /** Of a snapshot of this pool; as {@link PoolBuilder.gather} has left them. */
  values = new Float64Array();
  readonly #directory = new Directory(1, MAX_PAGES, "own");
  /** Of series that were added since the directory was asked for. */
  readonly #records = new RecordWriter();
  readonly #services = new Map<string, number>();
  /** By service and all that makes a metric another one. */
  readonly #metrics = new Map<string, number>();
  /** The metric that a service's name stands for. */
  readonly #current = new Map<string, number>();
  /** By id. */
  readonly #definitions: MetricDefinition[] = [];
  #lastWriter = 0;
  #lastSeries = 0;
  #pages = 0;
  #slotsInPage = SLOTS_PER_PAGE;
  #plan: ReadPlan | undefined;
  readonly #structures: Structures;
  #gather: { structure: Structure; step: Gather } | undefined;

  /**
   * @param app name of the application, as errors tell it
   * @param wants leaves out metrics of the structure
   */
  constructor(
    readonly app: string,
    wants?: Wants,
  ) {
    this.#structures = new Structures({
      plan: () => this.plan,
      ...(wants === undefined ? {} : { wants }),
    });
  }

  /** All that was added so far. @throws RangeError when no agent would have written that */
  get directory(): Directory {
    if (this.#records.bytes.length > 0) {
      this.#directory.append(this.#records.bytes.bytes());
      this.#records.reset();
      const damage = this.#directory.damage[0];
      if (damage !== undefined) throw new RangeError(damage.reason);
      this.#plan = undefined;
    }
    return this.#directory;
  }

  /** How to read {@link PoolBuilder.slots} as the slots of a snapshot. */
  get plan(): ReadPlan {
    this.#plan ??= {
      ranges: [],
      slotCount: this.slots.length,
      base: Int32Array.from(
        { length: this.#pages },
        (_, page) => page * SLOTS_PER_PAGE - PAGE_HEADER_SLOTS,
      ),
    };
    return this.#plan;
  }

  /** What series there are now; the same object for as long as none is added or taken away. */
  get structure(): Structure {
    return this.#structures.of(this.directory);
  }

  /** @returns the id of a service, which is made if there is none */
  service(name: string): number {
    let id = this.#services.get(name);
    if (id === undefined) {
      id = this.#services.size + 1;
      this.#services.set(name, id);
      this.#records.service(id, name);
    }
    return id;
  }

  /** @returns the id of a metric; one of the same name that was declared otherwise is retired */
  metric(service: number, definition: MetricDefinition): number {
    const { help: _, ...rest } = definition;
    const key = JSON.stringify([service, rest]);
    // Where sets of label names are open, each has a metric of its own under one name.
    const labels = definition.dialect === undefined ? [] : definition.labelNames;
    const name = JSON.stringify([service, definition.name, ...labels]);
    const known = this.#metrics.get(key);
    const current = this.#current.get(name);
    // A redeclared name belongs to the newer declaration.
    if (known !== undefined && known === current) return known;
    const id = this.#definitions.push(definition);
    if (current !== undefined) this.#records.retire(current);
    this.#records.metric(id, service, definition);
    this.#metrics.set(key, id);
    this.#current.set(name, id);
    return id;
  }

  /** @returns the id of a new writer */
  writer(service: number, writer: BuiltWriter = {}): number {
    const id = writer.id ?? this.#lastWriter + 1;
    this.#lastWriter = Math.max(this.#lastWriter, id);
    this.#records.writer({
      id,
      service,
      flags: writer.retained === true ? WRITER_FLAGS.retained : 0,
      pid: writer.pid ?? 0,
      threadId: writer.threadId ?? 0,
      startedAtMs: writer.startedAtMs ?? 0,
      lockOffset: 0,
      lockBytes: 0,
    });
    return id;
  }

  /**
   * A new series, with a place for its writer's values.
   * @throws RangeError when there is no more room in a pool
   */
  series(writer: number, metric: number, labelValues: readonly string[] = []): BuiltPlace {
    const slots = slotsPerSeries(this.#definitions[metric - 1]!);
    const { page, slot } = this.#place(slots);
    const series = ++this.#lastSeries;
    this.#records.series(series, metric, labelValues);
    this.#records.bind({ writer, firstSeries: series, count: 1, page, slot });
    return { series, at: page * SLOTS_PER_PAGE + slot, slots };
  }

  /** A writer is no more, and its values with it. */
  release(writer: number): void {
    this.#records.release(writer);
  }

  /** Brings {@link PoolBuilder.values} up to the slots. */
  gather(): Float64Array {
    const { structure } = this;
    if (this.#gather?.structure !== structure) {
      this.#gather = { structure, step: new Gather(structure) };
      this.values = new Float64Array(structure.valueCount);
    }
    this.#gather.step.into(this.slots, this.values);
    return this.values;
  }

  #place(slots: number): { page: number; slot: number } {
    if (this.#slotsInPage + slots > SLOTS_PER_PAGE) {
      if (this.#pages === MAX_PAGES || this.#lastSeries === LIMITS.maxId) {
        throw new RangeError(`${this.app} has more series than a pool holds`);
      }
      this.#pages++;
      this.#slotsInPage = 0;
    }
    const slot = this.#slotsInPage;
    this.#slotsInPage += slots;
    const needed = this.#pages * SLOTS_PER_PAGE;
    if (needed > this.slots.length) {
      const grown = new Float64Array(Math.max(needed, this.slots.length * 2)).fill(Number.NaN);
      grown.set(this.slots);
      this.slots = grown;
    }
    return { page: this.#pages - 1, slot };
  }
}
