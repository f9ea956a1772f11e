// Children that are removed, as others see them: a service whose label values come and go does not fill its pool.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { ROOT, TestHost } from "../support/host.ts";
import { patience } from "../support/speed.ts";
import { until } from "../support/wait.ts";
import { Service } from "./service.ts";

setDefaultTimeout(patience(60_000));

/** Two looks, as if a minute had passed. */
const TWO_LOOKS = `
  const { forgetIdle } = await import(${JSON.stringify(join(ROOT, "src/prom-client/sharing.ts"))});
  forgetIdle();
  forgetIdle();
`;

describe("children that are removed", () => {
  test("are gone for others, too, when they do not come back", async () => {
    await using host = new TestHost();
    await host.agent();
    const service = new Service(host);
    await service.run(`
      kept.jobs = new client.Counter({ name: "jobs_total", help: "h", labelNames: ["id"] });
      for (const id of ["a", "b", "c", "d"]) kept.jobs.inc({ id }, 5);
    `);
    await service.ready();
    await service.run(`
      for (const id of ["a", "b", "c"]) kept.jobs.remove(id);
      kept.jobs.inc({ id: "b" }, 2);
    `);
    await service.run(TWO_LOOKS);
    await service.run(`kept.jobs.inc({ id: "c" }, 3);`);
    const view = host.view();
    const of = (id: string) => view.value("auth", "jobs_total", { id });
    await until("a is gone", () => of("a") === undefined);
    await host.shows(3, "jobs_total", { labels: { id: "c" } });
    expect(["b", "d"].map(of)).toEqual([2, 5]);
    expect(await service.run<string>("return client.register.metrics()")).toContain(
      'jobs_total{id="d"} 5\njobs_total{id="b"} 2\njobs_total{id="c"} 3',
    );
  });

  test("stay where they are while a reset makes them again each time", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    const service = new Service(host);
    await service.run(`
      kept.handles = new client.Gauge({
        name: "handles",
        help: "h",
        labelNames: ["type"],
        collect() {
          this.reset();
          for (const type of ["pipe", "file"]) this.set({ type }, 2);
        },
      });
      await client.register.metrics();
    `);
    await service.ready();
    const { epoch, length } = agent.pools.get("shop").directory;
    await service.run(`
      const { forgetIdle } = await import(${JSON.stringify(join(ROOT, "src/prom-client/sharing.ts"))});
      for (let i = 0; i < 10; i++) {
        await client.register.metrics();
        forgetIdle();
      }
    `);
    const { directory } = agent.pools.get("shop");
    expect([directory.epoch, directory.length]).toEqual([epoch, length]);
    expect(host.view().value("auth", "handles", { type: "file" })).toBe(2);
  });

  test("make room for others below the limit on a metric's series", async () => {
    await using host = new TestHost();
    await host.agent();
    const service = new Service(host, { seriesPerMetricMax: 3 });
    await service.run(`
      kept.jobs = new client.Counter({ name: "jobs_total", help: "h", labelNames: ["id"] });
      for (let id = 0; id < 50; id++) {
        kept.jobs.inc({ id }, id);
        if (id > 0) kept.jobs.remove(id - 1);
      }
    `);
    await service.ready();
    await service.run("");
    expect(service.warnings).toEqual([]);
    expect(host.view().value("auth", "jobs_total", { id: "49" })).toBe(49);
  });

  test("are forgotten with a metric whose name another has taken over", async () => {
    await using host = new TestHost();
    await host.agent();
    const service = new Service(host);
    await service.run(`
      const make = () => new client.Counter({ name: "jobs_total", help: "h", labelNames: ["id"] });
      make().inc({ id: "old" }, 5);
      await client.microview().ready;
      client.register.removeSingleMetric("jobs_total");
      make().inc({ id: "new" }, 6);
    `);
    await host.shows(6, "jobs_total", { labels: { id: "new" } });
    await service.run(TWO_LOOKS);
    const view = host.view();
    await until("it is gone", () => view.value("auth", "jobs_total", { id: "old" }) === undefined);
    expect(view.value("auth", "jobs_total", { id: "new" })).toBe(6);
  });
});
