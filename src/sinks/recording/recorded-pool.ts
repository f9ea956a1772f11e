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
  /** Its writer as the directory has it. */
  writer: number;
}

export class RecordedPool extends PoolBuilder {
  readonly #writers = new Map<string, number>();
  /** Series that a writer has, which has not ended. */
  readonly #living = new Map<number, number>();
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
    const writerId = this.#writerOf(serviceId, writer, sinceMs);
    const place = this.series(writerId, metric, labelValues);
    this.seriesCount++;
    this.#living.set(writerId, (this.#living.get(writerId) ?? 0) + 1);
    const isHistogram = definition.kind === "histogram" || definition.kind === "loglinear";
    return { ...place, isHistogram, writer: writerId };
  }

  /** A series has ended. A writer all of whose series have is no more. */
  end({ at, slots, isHistogram, writer }: Place): void {
    this.seriesCount--;
    const left = (this.#living.get(writer) ?? 0) - 1;
    this.#living.set(writer, left);
    for (const [key, id] of this.#writers) {
      if (id !== writer || key.startsWith("all ")) continue;
      // What is added up with others must not make them nothing.
      if (isHistogram) this.slots.fill(0, at, at + slots);
      if (left > 0) continue;
      this.release(writer);
      this.#writers.delete(key);
    }
  }

  #writerOf(service: number, writer: RecordedWriter | undefined, sinceMs: number): number {
    const key = writer === undefined ? `all ${service}` : `${service} ${writer.id}`;
    let id = this.#writers.get(key);
    if (id === undefined) {
      id = this.writer(service, { ...writer, startedAtMs: sinceMs });
      this.#writers.set(key, id);
    }
    return id;
  }
}
