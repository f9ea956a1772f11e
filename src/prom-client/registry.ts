// A registry: metrics by name, and what is asked of all of them at once.

import type { Labels } from "./labels.ts";
import { type MetricData, metricText } from "./registry-text.ts";

export const PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";
export const OPENMETRICS_CONTENT_TYPE =
  "application/openmetrics-text; version=1.0.0; charset=utf-8";

/** What can be registered: one of ours, or whatever has a `get()` of this kind. */
interface Registrable {
  name: string;
  type?: string;
  get(): MetricData | Promise<MetricData>;
  getForPromString?(): MetricData | Promise<MetricData>;
  reset?(): void;
}

export class Registry {
  static globalRegistry: Registry;

  readonly #metrics = new Map<string, Registrable>();
  #defaultLabels: Labels = {};
  #contentType: string;

  static get PROMETHEUS_CONTENT_TYPE(): string {
    return PROMETHEUS_CONTENT_TYPE;
  }

  static get OPENMETRICS_CONTENT_TYPE(): string {
    return OPENMETRICS_CONTENT_TYPE;
  }

  /** @throws TypeError for a content type that is neither of the two */
  constructor(contentType = PROMETHEUS_CONTENT_TYPE) {
    if (!isContentType(contentType)) {
      throw new TypeError(`Content type ${contentType} is unsupported`);
    }
    this.#contentType = contentType;
  }

  get contentType(): string {
    return this.#contentType;
  }

  /** @throws Error for a content type that is neither of the two */
  setContentType(contentType: string): void {
    if (!isContentType(contentType)) throw new Error(`Content type ${contentType} is unsupported`);
    this.#contentType = contentType;
  }

  setDefaultLabels(labels: Labels): void {
    this.#defaultLabels = labels;
  }

  /** @throws Error when another metric has the name */
  registerMetric(metric: Registrable): void {
    const known = this.#metrics.get(metric.name);
    if (known !== undefined && known !== metric) {
      throw new Error(`A metric with the name ${metric.name} has already been registered.`);
    }
    this.#metrics.set(metric.name, metric);
  }

  removeSingleMetric(name: string): void {
    this.#metrics.delete(name);
  }

  clear(): void {
    this.#metrics.clear();
    this.#defaultLabels = {};
  }

  resetMetrics(): void {
    for (const metric of this.#metrics.values()) metric.reset!();
  }

  getSingleMetric(name: string): Registrable | undefined {
    return this.#metrics.get(name);
  }

  getMetricsAsArray(): Registrable[] {
    return [...this.#metrics.values()];
  }

  /** All metrics as text, in the registry's content type. */
  async metrics(): Promise<string> {
    const isOpenMetrics = this.#isOpenMetrics;
    const texts = await Promise.all(
      this.getMetricsAsArray().map((metric) => {
        // OpenMetrics keeps `_total` for the samples. As in prom-client the metric itself is renamed.
        if (isOpenMetrics && metric.type === "counter") {
          metric.name = metric.name.replace(/_total$/, "");
        }
        return this.getMetricsAsString(metric);
      }),
    );
    return isOpenMetrics ? `${texts.join("\n")}\n# EOF\n` : `${texts.join("\n\n")}\n`;
  }

  /** One metric as text. */
  async getMetricsAsString(metric: Registrable): Promise<string> {
    const data = await (typeof metric.getForPromString === "function"
      ? metric.getForPromString()
      : metric.get());
    return metricText(data, this.#defaultLabels, this.#isOpenMetrics);
  }

  getSingleMetricAsString(name: string): Promise<string> {
    return this.getMetricsAsString(this.#metrics.get(name)!);
  }

  /** All metrics as objects. */
  async getMetricsAsJSON(): Promise<MetricData[]> {
    const metrics = await Promise.all(this.getMetricsAsArray().map((metric) => metric.get()));
    const defaults = Object.entries(this.#defaultLabels);
    if (defaults.length === 0) return metrics;
    for (const { values } of metrics) {
      for (const sample of values ?? []) {
        const labels: Record<string, unknown> = { ...sample.labels };
        for (const [name, value] of defaults) labels[name] ||= value;
        sample.labels = labels;
      }
    }
    return metrics;
  }

  /**
   * A registry with the metrics of several.
   * @throws Error when their content types differ, or two have a name in common
   */
  static merge(registers: readonly Registry[]): Registry {
    const { contentType } = registers[0]!;
    for (const register of registers) {
      if (register.contentType !== contentType) {
        throw new Error("Registers can only be merged if they have the same content type");
      }
    }
    const merged = new Registry(contentType);
    for (const register of registers) {
      for (const metric of register.getMetricsAsArray()) merged.registerMetric(metric);
    }
    return merged;
  }

  get #isOpenMetrics(): boolean {
    return this.contentType === OPENMETRICS_CONTENT_TYPE;
  }
}

/** Where metrics go that name no registry. */
export const globalRegistry = new Registry();
Registry.globalRegistry = globalRegistry;

function isContentType(contentType: string): boolean {
  return contentType === PROMETHEUS_CONTENT_TYPE || contentType === OPENMETRICS_CONTENT_TYPE;
}
