// A pool rebuilt from a recording: its directory is made from the recorded series definitions, so that everything that
// takes snapshots of a live pool takes these too.

import {
  type BuiltPlace,
  checkDefinition,
  checkLabelValue,
  checkServiceName,
  isAppName,
  type MetricDefinition,
  PoolBuilder,
  type Wants,
} from "../../layout/index.ts";

/** A series as its row tells. */
export interface RecordedSeries {
  series: number;
  service: string;
  definition: MetricDefinition;
  labelValues: readonly string[];
  /** Since when its service, or its writer, has counted; in unix ms, 0 when that is not known. */
  sinceMs: number;
  /** Undefined where writers were added up. */
  writer: RecordedWriter | undefined;
}

interface RecordedWriter {
  id: number;
  pid: number;
  threadId: number;
  retained: boolean;
}

/** Where the values of a series are. */
export interface Place extends BuiltPlace {
  isHistogram: boolean;
  writer: PlacedWriter;
}

/** A writer of the rebuilt directory. */
interface PlacedWriter {
  readonly id: number;
  /** Tells it from all others of the recording. */
  readonly key: string;
  /** All writers of a service, added up. */
  readonly isAll: boolean;
  /** Its series that have not ended. */
  living: number;
}

export class RecordedPool extends PoolBuilder {
  readonly #writers = new Map<string, PlacedWriter>();
  /** Series that have not ended. */
  seriesCount = 0;

  /**
   * @param wants leaves out metrics of snapshots
   * @throws RangeError for names that no pool has
   */
  constructor(
    readonly source: string,
    app: string,
    wants?: Wants,
  ) {
    if (!isAppName(app))
      throw new RangeError(`an application cannot be called ${JSON.stringify(app)}`);
    super(app, wants);
  }

  /** Forgets all values: a block begins. */
  clear(): void {
    this.slots.fill(Number.NaN);
  }

  /** @throws RangeError or DefinitionError for what no agent would have taken */
  add({ service, definition, labelValues, sinceMs, writer }: RecordedSeries): Place {
    checkServiceName(service);
    checkDefinition(definition);
    if (labelValues.length !== definition.labelNames.length) {
      throw new RangeError(
        `${definition.name} has ${labelValues.length} label values for ${definition.labelNames.length} labels`,
      );
    }
    for (const value of labelValues) checkLabelValue(definition.name, value);
    const serviceId = this.service(service);
    const metric = this.metric(serviceId, definition);
    const placed = this.#writerOf(serviceId, writer, sinceMs);
    const place = this.series(placed.id, metric, labelValues);
    this.seriesCount++;
    placed.living++;
    const isHistogram = definition.kind === "histogram" || definition.kind === "loglinear";
    return { ...place, isHistogram, writer: placed };
  }

  /** A series has ended. A writer all of whose series have is no more. */
  end({ at, slots, isHistogram, writer }: Place): void {
    this.seriesCount--;
    writer.living--;
    if (writer.isAll) return;
    // What is added up with others must not make them nothing.
    if (isHistogram) this.slots.fill(0, at, at + slots);
    if (writer.living === 0) this.#release(writer);
  }

  #writerOf(service: number, writer: RecordedWriter | undefined, sinceMs: number): PlacedWriter {
    const isAll = writer === undefined;
    const key = isAll ? `all ${service}` : JSON.stringify([service, writer, sinceMs]);
    let placed = this.#writers.get(key);
    if (placed !== undefined) return placed;
    // Another writer with this id is of the pool before: none of its values is added up any more.
    for (const other of this.#writers.values()) if (other.id === writer?.id) this.#release(other);
    const id = this.writer(service, { ...writer, startedAtMs: sinceMs });
    placed = { id, key, isAll, living: 0 };
    this.#writers.set(key, placed);
    return placed;
  }

  #release(writer: PlacedWriter): void {
    if (this.#writers.get(writer.key) !== writer) return;
    this.release(writer.id);
    this.#writers.delete(writer.key);
  }
}
