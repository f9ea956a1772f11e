// Children that are removed: nobody sees them any more, and what is kept or made again of them works.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { TestHost } from "../support/host.ts";
import { patience } from "../support/speed.ts";
import { until } from "../support/wait.ts";

setDefaultTimeout(patience(60_000));

describe("a child that is removed", () => {
  test("reads as if nobody had stored there, and then is gone; a handle that was kept counts alone", async () => {
    await using host = new TestHost();
    await host.agent();
    const mv = host.client();
    const sessions = mv.counter("sessions_total", { labels: ["user"] });
    const level = mv.gauge("level", { labels: ["user"], combine: "max" });
    const [ann, bob] = [sessions.labels("ann"), sessions.labels("bob")];
    level.labels("ann").set(3);
    ann.inc(4);
    bob.inc(5);
    await mv.ready;
    expect(sessions.remove({ user: "ann" })).toBe(true);
    expect(level.remove("ann")).toBe(true);
    expect(sessions.remove("ann")).toBe(false);
    const view = host.view();
    const labels = { user: "ann" };
    expect(view.value("auth", "sessions_total", labels)).toBe(0);
    expect(view.value("auth", "level", labels)).toBeNaN();
    ann.inc();
    expect(ann.value).toBe(5);
    await until("it is gone", () => view.value("auth", "sessions_total", labels) === undefined);
    expect(view.value("auth", "level", labels)).toBeUndefined();
    expect(view.value("auth", "sessions_total", { user: "bob" })).toBe(5);
  });

  test("is made again from zero, also while the agent is about to forget it", async () => {
    await using host = new TestHost();
    await host.agent();
    const mv = host.client();
    const sessions = mv.counter("sessions_total", { labels: ["user", "device"] });
    for (const user of ["ann", "bob"]) sessions.labels(user, "phone").inc(7);
    await mv.ready;
    for (const user of ["ann", "bob"]) sessions.remove(user, "phone");
    const ann = sessions.labels("ann", "phone");
    ann.inc(2);
    const view = host.view();
    const of = (user: string) => view.value("auth", "sessions_total", { user, device: "phone" });
    await until("the other is gone", () => of("bob") === undefined);
    await host.shows(2, "sessions_total", { labels: { user: "ann", device: "phone" } });
    sessions.labels("bob", "phone").inc(1);
    await host.shows(1, "sessions_total", { labels: { user: "bob", device: "phone" } });
    ann.inc();
    expect(of("ann")).toBe(3);
  });

  test("before it had a place never gets one", async () => {
    await using host = new TestHost();
    const mv = host.client();
    const sessions = mv.counter("sessions_total", { labels: ["user"] });
    sessions.labels("ann").inc();
    sessions.labels("bob").inc();
    sessions.remove("ann");
    const agent = await host.agent();
    await mv.ready;
    expect(agent.pools.get("shop").directory.seriesCount).toBe(1);
    expect(host.view().value("auth", "sessions_total", { user: "bob" })).toBe(1);
  });

  test("while it is registered gives its place up again", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    const mv = host.client();
    const sessions = mv.counter("sessions_total", { labels: ["user"] });
    sessions.labels("bob").inc();
    await mv.ready;
    const ann = sessions.labels("ann");
    ann.inc(4);
    const { directory } = agent.pools.get("shop");
    // It is in the agent's books, and the answer has yet to be heard.
    await until("it is registered", () => directory.seriesCount === 2);
    sessions.remove("ann");
    const view = host.view();
    const of = (user: string) => view.value("auth", "sessions_total", { user });
    await until("it is gone", () => of("ann") === undefined);
    expect([of("bob"), ann.value]).toEqual([1, 4]);
  });

  test("makes room for others below the agent's limit", async () => {
    await using host = new TestHost();
    await host.agent({ limits: { seriesPerMetric: 3 } });
    const mv = host.client();
    const sessions = mv.counter("sessions_total", { labels: ["user"] });
    const users = ["ann", "bob", "cyd"];
    for (const user of users) sessions.labels(user).inc();
    await mv.ready;
    for (const user of users) sessions.remove(user);
    for (const user of ["dan", "eve", "fay"]) sessions.labels(user).inc(9);
    for (const user of ["dan", "eve", "fay"]) {
      await host.shows(9, "sessions_total", { labels: { user } });
    }
  });

  test("does not come back with the next agent", async () => {
    await using host = new TestHost();
    const first = await host.agent();
    const mv = host.client();
    const sessions = mv.counter("sessions_total", { labels: ["user"] });
    for (const user of ["ann", "bob"]) sessions.labels(user).inc(6);
    await mv.ready;
    await first.stop();
    sessions.remove("ann");
    await host.agent();
    const view = host.view();
    const of = (user: string) => view.value("auth", "sessions_total", { user });
    await until("it is gone", () => of("ann") === undefined);
    expect(of("bob")).toBe(6);
  });
});
