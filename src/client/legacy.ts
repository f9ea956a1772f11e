// The prototype's client API, in camel case, over the same machinery.

import type { Readiness } from "./attachment-status.ts";
import type { Cell } from "./cells.ts";
import type { Counter } from "./counter.ts";
import type { Gauge } from "./gauge.ts";
import { MicroView, type MicroViewOptions } from "./microview.ts";
import { checkKind } from "./options.ts";

/** A metric of the prototype: its value is set, whatever its kind. */
export class MicroViewMetric {
  readonly #cell: Counter | Gauge;

  /** @internal */
  constructor(
    readonly name: string,
    readonly isGauge: boolean,
    cell: Counter | Gauge,
  ) {
    this.#cell = cell;
  }

  updateValue(value: number): void {
    const cell: Cell = this.#cell;
    cell.values[cell.at] = value;
  }

  getValue(): number {
    return this.#cell.value;
  }
}

/** `new MicroViewClient("auth-service")`, as in the prototype's Python. */
export class MicroViewClient {
  readonly #microview: MicroView;
  readonly #metrics = new Map<string, MicroViewMetric>();

  constructor(service: string, options: Partial<Omit<MicroViewOptions, "service">> = {}) {
    checkKind("new MicroViewClient: the service", service, "string");
    this.#microview = new MicroView({ app: "legacy", ...options, service });
  }

  get ready(): Promise<Readiness> {
    return this.#microview.ready;
  }

  createMetric(name: string, isGauge = false, initial = 0): MicroViewMetric {
    const known = this.#metrics.get(name);
    if (known !== undefined) return known;
    const cell = isGauge ? this.#microview.gauge(name) : this.#microview.counter(name);
    const metric = new MicroViewMetric(name, isGauge, cell);
    metric.updateValue(initial);
    this.#metrics.set(name, metric);
    return metric;
  }

  close(): Promise<void> {
    return this.#microview.close();
  }
}
