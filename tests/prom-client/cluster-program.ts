// A node:cluster of two workers, each with its metrics; the primary prints what all of them have together.
// The module for primary and workers is the argument, so that either may be prom-client.

import cluster from "node:cluster";

const [primaryModule, workerModule] = process.argv.slice(2);

if (cluster.isPrimary) {
  const { AggregatorRegistry } = await import(primaryModule!);
  const registry = new AggregatorRegistry();
  const workers = [1, 2].map((i) => cluster.fork({ PART: String(i) }));
  await Promise.all(
    workers.map((worker) => new Promise((resolve) => worker.once("message", resolve))),
  );
  process.stdout.write(await registry.clusterMetrics());
  for (const worker of workers) worker.kill();
} else {
  const client = await import(workerModule!);
  new client.AggregatorRegistry();
  const part = Number(process.env["PART"]);
  const counter = new client.Counter({ name: "requests_total", help: "h", labelNames: ["a"] });
  counter.inc({ a: "x" }, part);
  counter.inc({ a: `only ${part}` });
  for (const aggregator of ["sum", "min", "max", "average", "omit"]) {
    new client.Gauge({ name: aggregator, help: "h", aggregator }).set(part * 3);
  }
  const histogram = new client.Histogram({ name: "took", help: "h", buckets: [1, 2] });
  histogram.observe(part);
  process.send!("ready");
}
