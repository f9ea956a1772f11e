// The same services by scrape and by remote write, as a real Prometheus stores them: the same series, and the same values.

import { expect, test } from "bun:test";
import { CLI, TestHost } from "../support/host.ts";
import { ScrapingPrometheus } from "../support/metrics-readers.ts";
import { patience } from "../support/speed.ts";
import { surroundings } from "../support/surroundings.ts";
import { until } from "../support/wait.ts";

/** Its version, where it is installed. */
const version = (() => {
  if (Bun.which("prometheus") === null) return 0;
  const { stdout, stderr } = Bun.spawnSync(["prometheus", "--version"], { stderr: "pipe" });
  return Number(/version (\d+)\./.exec(`${stdout}${stderr}`)?.[1] ?? 0);
})();

/** Services whose metrics' names clash in every way, and one of OpenTelemetry's. */
async function serve(host: TestHost): Promise<void> {
  const services = ["auth", "cart", "otel"].map((service) => host.client({ service }));
  const [auth, cart, otel] = services as [
    (typeof services)[0],
    (typeof services)[0],
    (typeof services)[0],
  ];
  auth.histogram("wait_seconds", { buckets: [0.5, 1, 10] }).observe(0.7);
  cart.gauge("wait_seconds_count").set(4);
  auth.gauge("wait_seconds_sum").set(6);
  auth.counter("jobs").inc();
  cart.gauge("jobs").set(2);
  auth.histogram("took", { unit: "milliseconds" }).observe(1500);
  cart.counter("took_total").inc(7);
  auth.counter("orders_total").inc(8);
  cart.counter("orders_created_total").inc(9);
  auth.counter("own_total").inc(10);
  cart
    .counter("own_total", { labels: ["service"] })
    .labels("auth")
    .inc(11);
  otel
    .counter("http.requests", { dialect: "opentelemetry", labels: ["http.route"] })
    .labels("/")
    .inc(12);
  otel.histogram("http.duration", { dialect: "opentelemetry", unit: "s" }).observe(0.25);
  await Promise.all(services.map((each) => each.ready));
}

test.skipIf(version === 0)(
  "scrape and remote write store the same, whatever clashes",
  async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    await serve(host);
    const more = ["honor_labels: true", 'params: { app: [shop], created: ["0"] }'];
    const asEver = version < 3 ? [] : ["metric_name_escaping_scheme: underscores"];
    await using prometheus = new ScrapingPrometheus({
      scraped: { port: agent.port, more: [...more, ...asEver] },
      ...(version < 3 ? {} : { utf8: { port: agent.port, more } }),
    });
    await prometheus.start();
    const push = async (job: string, ...flags: string[]) => {
      const to = ["--remote-write", prometheus.writeUrl, "--remote-write-label", `job=${job}`];
      const child = host.own(
        Bun.spawn(
          [
            process.execPath,
            CLI,
            "collect",
            "--socket",
            host.socketPath,
            "--app",
            "shop",
            "--once",
            ...to,
            ...flags,
          ],
          {
            env: surroundings(),
            stdin: "ignore",
            stdout: "ignore",
            stderr: "pipe",
          },
        ),
      );
      const errors = new Response(child.stderr).text();
      expect({
        job,
        code: await child.exited,
        errors: (await errors).includes("left out"),
      }).toEqual({
        job,
        code: 0,
        errors: false,
      });
    };
    /** Series and values of a job, without what tells the ways apart. */
    const stored = async (job: string): Promise<[string, string][]> => {
      const found = await prometheus.query(`{job="${job}",app="shop"}`);
      return found
        .map(({ metric: { job: _, instance: __, ...labels }, value }): [string, string] => [
          JSON.stringify(Object.entries(labels).sort()),
          value![1],
        ])
        .sort();
    };
    await push("sent");
    await until("it is scraped", async () => (await stored("scraped")).length > 0);
    const scraped = await stored("scraped");
    expect(scraped.length).toBeGreaterThan(60);
    expect(await stored("sent")).toEqual(scraped);
    expect(scraped.map(([labels]) => labels).join("\n")).toContain("http_requests_total");
    if (version < 3) return;
    for (const protocol of ["1", "2"]) {
      await push(protocol, "--remote-write-names", "utf-8", "--remote-write-protocol", protocol);
    }
    await until("it is scraped", async () => (await stored("utf8")).length > 0);
    const utf8 = await stored("utf8");
    expect(utf8.map(([labels]) => labels).join("\n")).toContain('["__name__","http.requests"]');
    expect(await stored("1")).toEqual(utf8);
    expect(await stored("2")).toEqual(utf8);
  },
  patience(60_000),
);
