// Prometheus's rules for names, as prom-client holds them.
// https://prometheus.io/docs/concepts/data_model/#metric-names-and-labels

const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/** Whether a name can be a metric's. */
export function validateMetricName(name: string): boolean {
  return METRIC_NAME.test(name);
}

export function areLabelNames(names: readonly string[] = []): boolean {
  return names.every((name) => LABEL_NAME.test(name));
}
