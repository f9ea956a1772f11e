// The types of `microview/prom-client`, so written that each of them and prom-client 15's can stand for the other.
// Apart from the sources, because a program that is typed against prom-client compiles under settings of its own.

// biome-ignore-all lint/style/noNamespace: prom-client names the types of its children so

export type PrometheusContentType = "text/plain; version=0.0.4; charset=utf-8";
export type OpenMetricsContentType = "application/openmetrics-text; version=1.0.0; charset=utf-8";
export type RegistryContentType = PrometheusContentType | OpenMetricsContentType;

export type Charset = "utf-8";
export type PrometheusMIME = "text/plain";
export type PrometheusMetricsVersion = "0.0.4";
export type OpenMetricsMIME = "application/openmetrics-text";
export type OpenMetricsVersion = "1.0.0";

/** How the values of a metric from several processes become one. */
export type Aggregator = "omit" | "sum" | "first" | "min" | "max" | "average";

export type Collector = () => void;

/** What prom-client declares; what `type` is in truth is the kind's name, in lower case. */
export type MetricType = number;

export type LabelValues<T extends string> = Partial<Record<T, string | number>>;

export interface MetricObject {
  name: string;
  help: string;
  type: MetricType;
  aggregator: Aggregator;
  // biome-ignore lint/suspicious/noExplicitAny: as prom-client's, for the types to stand for each other
  collect: CollectFunction<any>;
}

export interface MetricValue<T extends string> {
  value: number;
  labels: LabelValues<T>;
}

export interface MetricValueWithName<T extends string> extends MetricValue<T> {
  metricName?: string;
}

export interface MetricObjectWithValues<T extends MetricValue<string>> extends MetricObject {
  values: T[];
}

export type CollectFunction<T> = (this: T) => void | Promise<void>;

export type Metric<T extends string = string> = Counter<T> | Gauge<T> | Summary<T> | Histogram<T>;

/** Metrics by name, and what is asked of all of them at once. */
export declare class Registry<ContentType extends RegistryContentType = PrometheusContentType> {
  static PROMETHEUS_CONTENT_TYPE: PrometheusContentType;
  static OPENMETRICS_CONTENT_TYPE: OpenMetricsContentType;

  constructor(contentType?: ContentType);

  readonly contentType: ContentType;
  setContentType(contentType: ContentType): void;

  /** All metrics as text. */
  metrics(): Promise<string>;
  /** One metric as text. */
  getSingleMetricAsString(name: string): Promise<string>;
  getMetricsAsJSON(): Promise<MetricObjectWithValues<MetricValue<string>>[]>;
  getMetricsAsArray(): MetricObject[];
  getSingleMetric<T extends string>(name: string): Metric<T> | undefined;

  registerMetric<T extends string>(metric: Metric<T>): void;
  removeSingleMetric(name: string): void;
  /** Removes all metrics and the default labels. */
  clear(): void;
  /** Resets the values of all metrics. */
  resetMetrics(): void;
  /** Labels that every sample gets that has none of the name. */
  setDefaultLabels(labels: object): void;

  /** A registry with the metrics of several of one content type. */
  static merge(registers: Registry[]): Registry;
}

/** The registry of metrics that name none. */
export declare const register: Registry;

/** The default registry's content type. */
export declare const contentType: RegistryContentType;
export declare const prometheusContentType: PrometheusContentType;
export declare const openMetricsContentType: OpenMetricsContentType;

/** Adds up the metrics of all workers of a node:cluster. */
export declare class AggregatorRegistry<T extends RegistryContentType> extends Registry<T> {
  clusterMetrics(): Promise<string>;
  /** @param metrics results of `getMetricsAsJSON()` */
  static aggregate<T extends RegistryContentType>(
    metrics: object[],
    contentType?: RegistryContentType,
  ): Registry<T>;
  /** What a worker answers with, instead of the global registry. */
  static setRegistries(
    registries:
      | (Registry<PrometheusContentType> | Registry<OpenMetricsContentType>)[]
      | Registry<PrometheusContentType>
      | Registry<OpenMetricsContentType>,
  ): void;
}

export interface MetricConfiguration<T extends string> {
  name: string;
  help: string;
  labelNames?: T[] | readonly T[];
  registers?: (Registry<PrometheusContentType> | Registry<OpenMetricsContentType>)[];
  /** Default "sum". Over shared memory: average is mean, first and omit are the newest value. */
  aggregator?: Aggregator;
  /** Called before values are told, to bring them up to date. */
  // biome-ignore lint/suspicious/noExplicitAny: as prom-client's, for the types to stand for each other
  collect?: CollectFunction<any>;
  enableExemplars?: boolean;
}

export interface CounterConfiguration<T extends string> extends MetricConfiguration<T> {
  collect?: CollectFunction<Counter<T>>;
}

export interface IncreaseDataWithExemplar<T extends string> {
  value?: number;
  labels?: LabelValues<T>;
  exemplarLabels?: LabelValues<T>;
}

export interface ObserveDataWithExemplar<T extends string> {
  value: number;
  labels?: LabelValues<T>;
  exemplarLabels?: LabelValues<T>;
}

/** Goes up. */
export declare class Counter<T extends string = string> {
  constructor(configuration: CounterConfiguration<T>);
  inc(labels: LabelValues<T>, value?: number): void;
  inc(value?: number): void;
  inc(data: IncreaseDataWithExemplar<T>): void;
  get(): Promise<MetricObjectWithValues<MetricValue<T>>>;
  /** The child for label values. Keep it: its calls look nothing up. */
  labels(...values: string[]): Counter.Internal;
  labels(labels: LabelValues<T>): Counter.Internal;
  reset(): void;
  remove(...values: string[]): void;
  remove(labels: LabelValues<T>): void;
}

export declare namespace Counter {
  export interface Internal {
    inc(value?: number): void;
  }
}

export interface GaugeConfiguration<T extends string> extends MetricConfiguration<T> {
  collect?: CollectFunction<Gauge<T>>;
}

/** Is set, and goes up and down. */
export declare class Gauge<T extends string = string> {
  constructor(configuration: GaugeConfiguration<T>);
  inc(labels: LabelValues<T>, value?: number): void;
  inc(value?: number): void;
  dec(labels: LabelValues<T>, value?: number): void;
  dec(value?: number): void;
  set(labels: LabelValues<T>, value: number): void;
  set(value: number): void;
  get(): Promise<MetricObjectWithValues<MetricValue<T>>>;
  /** Sets the unix time in seconds. */
  setToCurrentTime(labels?: LabelValues<T>): void;
  /** Starts a stopwatch; what it returns sets the seconds since then, and gives them. */
  startTimer(labels?: LabelValues<T>): (labels?: LabelValues<T>) => number;
  /** The child for label values. Keep it: its calls look nothing up. */
  labels(...values: string[]): Gauge.Internal<T>;
  labels(labels: LabelValues<T>): Gauge.Internal<T>;
  reset(): void;
  remove(...values: string[]): void;
  remove(labels: LabelValues<T>): void;
}

export declare namespace Gauge {
  export interface Internal<T extends string> {
    inc(value?: number): void;
    dec(value?: number): void;
    set(value: number): void;
    setToCurrentTime(): void;
    startTimer(): (labels?: LabelValues<T>) => number;
  }
}

export interface HistogramConfiguration<T extends string> extends MetricConfiguration<T> {
  buckets?: number[];
  collect?: CollectFunction<Histogram<T>>;
}

/** Counts observations by upper bounds. */
export declare class Histogram<T extends string = string> {
  constructor(configuration: HistogramConfiguration<T>);
  observe(value: number): void;
  observe(labels: LabelValues<T>, value: number): void;
  observe(data: ObserveDataWithExemplar<T>): void;
  get(): Promise<MetricObjectWithValues<MetricValueWithName<T>>>;
  /** Starts a stopwatch; what it returns observes the seconds since then, and gives them. */
  startTimer(labels?: LabelValues<T>): (labels?: LabelValues<T>) => number;
  startTimer(
    labels?: LabelValues<T>,
    exemplarLabels?: LabelValues<T>,
  ): (labels?: LabelValues<T>, exemplarLabels?: LabelValues<T>) => number;
  reset(): void;
  /** Makes a child with no observations, or makes it one again. */
  zero(labels: LabelValues<T>): void;
  /** The child for label values. Keep it: its calls look nothing up. */
  labels(...values: string[]): Histogram.Internal<T>;
  labels(labels: LabelValues<T>): Histogram.Internal<T>;
  remove(...values: string[]): void;
  remove(labels: LabelValues<T>): void;
}

export declare namespace Histogram {
  export interface Internal<T extends string> {
    observe(value: number): void;
    startTimer(): (labels?: LabelValues<T>) => void;
  }

  export interface Config {
    buckets?: number[];
  }
}

export interface SummaryConfiguration<T extends string> extends MetricConfiguration<T> {
  percentiles?: number[];
  maxAgeSeconds?: number;
  ageBuckets?: number;
  pruneAgedBuckets?: boolean;
  compressCount?: number;
  collect?: CollectFunction<Summary<T>>;
}

/** Quantiles of observations, over all time or a sliding window. */
export declare class Summary<T extends string = string> {
  constructor(configuration: SummaryConfiguration<T>);
  observe(value: number): void;
  observe(labels: LabelValues<T>, value: number): void;
  get(): Promise<MetricObjectWithValues<MetricValueWithName<T>>>;
  /** Starts a stopwatch; what it returns observes the seconds since then, and gives them. */
  startTimer(labels?: LabelValues<T>): (labels?: LabelValues<T>) => number;
  reset(): void;
  /** The child for label values. Keep it: its calls look nothing up. */
  labels(...values: string[]): Summary.Internal<T>;
  labels(labels: LabelValues<T>): Summary.Internal<T>;
  remove(...values: string[]): void;
  remove(labels: LabelValues<T>): void;
}

export declare namespace Summary {
  export interface Internal<T extends string> {
    observe(value: number): void;
    startTimer(): (labels?: LabelValues<T>) => number;
  }

  export interface Config {
    percentiles?: number[];
  }
}

/** Sends a registry's metrics to a Prometheus Pushgateway. */
export declare class Pushgateway<T extends RegistryContentType> {
  /** @param options for the request, as node:http takes them, and `requireJobName` */
  // biome-ignore lint/suspicious/noExplicitAny: as prom-client's, for the types to stand for each other
  constructor(url: string, options?: any, registry?: Registry<T>);
  /** Adds to the group, in place of its metrics of the same names. */
  pushAdd(parameters: Pushgateway.Parameters): Promise<{ resp?: unknown; body?: unknown }>;
  /** Puts the metrics in place of the group's. */
  push(parameters: Pushgateway.Parameters): Promise<{ resp?: unknown; body?: unknown }>;
  /** Deletes the group. */
  delete(parameters: Pushgateway.Parameters): Promise<{ resp?: unknown; body?: unknown }>;
}

export declare namespace Pushgateway {
  export interface Parameters {
    jobName: string;
    /** Further labels of the group. */
    groupings?: { [key: string]: string };
  }
}

export declare function linearBuckets(start: number, width: number, count: number): number[];
export declare function exponentialBuckets(start: number, factor: number, count: number): number[];

export interface DefaultMetricsCollectorConfiguration<T extends RegistryContentType> {
  register?: Registry<T>;
  prefix?: string;
  gcDurationBuckets?: number[];
  /** In ms. */
  eventLoopMonitoringPrecision?: number;
  labels?: object;
}

export declare const collectDefaultMetrics: {
  <T extends RegistryContentType>(config?: DefaultMetricsCollectorConfiguration<T>): void;
  metricsList: string[];
};

export declare function validateMetricName(name: string): boolean;

interface AggregatedMetric {
  name: string;
  help: string;
  type: string;
  values: { value: number; labels: object; metricName?: string }[];
  aggregator?: string;
}

/** How an aggregator puts the metrics of several processes together. */
export declare const aggregators: Record<
  Aggregator,
  (metrics: AggregatedMetric[]) => AggregatedMetric | undefined
>;

/** Where metrics are shared. */
export interface SharingOptions {
  /** The trust domain that services share. Default: MICROVIEW_APP, else "default". */
  app?: string;
  /** This microservice. Default: MICROVIEW_SERVICE, else the name in the program's package.json. */
  service?: string;
  /** The agent's Unix socket. Default: MICROVIEW_SOCKET, else the one in the run directory. */
  socket?: string;
  /** Where this process sees pools. Default: MICROVIEW_POOL_DIR, else where the agent says. */
  poolDir?: string;
  /** Series of one metric that are shared. Default 10,000. */
  seriesPerMetricMax?: number;
  /**
   * How often `collect()` of metrics is called for who reads the pool, in ms, while there is an agent. Default: 10,000;
   * 0 is never: they then have the values of the last `metrics()` or `get()`.
   */
  collectIntervalMs?: number;
  /** Receives, once each, what is not shared and why; default writes a line to stderr. */
  onWarning?: (warning: { code: string; message: string; hint: string }) => void;
}

/** Says where metrics are shared; before the first metric is made. Not in prom-client. */
export declare function configure(options: SharingOptions): void;

/** The client whose series the metrics are; undefined before the first metric. Not in prom-client. */
export declare function microview():
  | {
      readonly app: string;
      readonly service: string;
      readonly ready: Promise<{
        attached: boolean;
        reason?: { code: string; message: string; hint: string };
      }>;
      readonly attached: boolean;
      close(): Promise<void>;
    }
  | undefined;

declare const client: Omit<typeof import("./types.d.ts"), "default">;
export default client;
