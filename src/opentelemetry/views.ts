// Views: which instruments they are for, and what becomes of those. The options are those of `@opentelemetry/sdk-metrics`.
// https://opentelemetry.io/docs/specs/otel/metrics/sdk/#view

import type { Attributes } from "@opentelemetry/api";
import type { Combine } from "../layout/index.ts";
import { globs } from "../text/index.ts";
import {
  type AggregationOption,
  AggregationType,
  type Descriptor,
  type InstrumentType,
} from "./aggregation.ts";
import type { IAttributesProcessor } from "./series-table.ts";

export interface ViewOptions {
  /** What the metric is called; only for a view of one instrument. */
  name?: string;
  description?: string;
  /** Change the attributes, one after the other. */
  attributesProcessors?: readonly IAttributesProcessor[];
  aggregation?: AggregationOption;
  /** Sets of attributes at most. */
  aggregationCardinalityLimit?: number;
  /** How the gauges of a service's processes become one. Default: the one that was set last. */
  combine?: Combine;
  instrumentType?: InstrumentType;
  /** `*` stands for any characters, `?` for one. */
  instrumentName?: string;
  instrumentUnit?: string;
  meterName?: string;
  meterVersion?: string;
  meterSchemaUrl?: string;
}

/** The meter that an instrument is of. */
export interface MeterIdentity {
  name: string;
  version: string;
  schemaUrl: string;
}

export class View {
  readonly #isNamed: (name: string) => boolean;

  /** @throws Error for a view that selects nothing, or gives one name to several instruments */
  constructor(readonly options: ViewOptions) {
    const { name, instrumentName, instrumentType, instrumentUnit } = options;
    const { meterName, meterVersion, meterSchemaUrl } = options;
    const selectors = [
      instrumentName,
      instrumentType,
      instrumentUnit,
      meterName,
      meterVersion,
      meterSchemaUrl,
    ];
    if (selectors.every((selector) => selector === undefined)) {
      throw new Error("a view selects nothing: give it an instrumentName, or another selector");
    }
    // As the SDK: with "?" there may be several too, of which the first has the name, as with any two of one name.
    if (name !== undefined && (instrumentName === undefined || instrumentName.includes("*"))) {
      throw new Error(
        `the view that is named ${JSON.stringify(name)} may be for several instruments: give it one instrumentName`,
      );
    }
    this.#isNamed = globs([instrumentName ?? "*"]);
  }

  get aggregation(): AggregationOption {
    return this.options.aggregation ?? { type: AggregationType.DEFAULT };
  }

  isFor(instrument: Descriptor, meter: MeterIdentity): boolean {
    const { instrumentType, instrumentUnit, meterName, meterVersion, meterSchemaUrl } =
      this.options;
    const fits = (selector: string | undefined, value: string) =>
      selector === undefined || selector === value;
    return (
      fits(instrumentType, instrument.type) &&
      fits(instrumentUnit, instrument.unit) &&
      fits(meterName, meter.name) &&
      fits(meterVersion, meter.version) &&
      fits(meterSchemaUrl, meter.schemaUrl) &&
      this.#isNamed(instrument.name)
    );
  }
}

/** Keeps attributes of these keys alone. */
export function createAllowListAttributesProcessor(keys: readonly string[]): IAttributesProcessor {
  const allowed = new Set(keys);
  return { process: (incoming) => filtered(incoming, (key) => allowed.has(key)) };
}

/** Leaves out attributes of these keys. */
export function createDenyListAttributesProcessor(keys: readonly string[]): IAttributesProcessor {
  const denied = new Set(keys);
  return { process: (incoming) => filtered(incoming, (key) => !denied.has(key)) };
}

function filtered(incoming: Attributes, isKept: (key: string) => boolean): Attributes {
  const kept: Attributes = {};
  for (const key in incoming) if (isKept(key)) kept[key] = incoming[key];
  return kept;
}
