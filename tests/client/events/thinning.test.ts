// Lines of one call that come too often are left out, and counted by a line of their own.

import { expect, test } from "bun:test";
import { MicroView } from "../../../src/client/index.ts";
import type { RingEvent } from "../../../src/layout/index.ts";
import { TestHost } from "../../support/host.ts";
import { until } from "../../support/wait.ts";
import { eventsOf } from "./recorded.ts";

function logs(host: TestHost): (RingEvent & { kind: "log" })[] {
  return eventsOf(host).filter((event) => event.kind === "log");
}

/** How many lines of a message and level there are, and how many were left out of those that were told. */
function counted(host: TestHost, message: string, level: string) {
  const rows = logs(host).filter((row) => row.message === message && row.level === level);
  const told = rows.filter(({ properties }) => "thinned" in properties);
  const thinned = told.reduce((sum, { properties }) => sum + (properties["thinned"] as number), 0);
  return { recorded: rows.length - told.length, told: told.length, thinned };
}

test("lines of one message and level beyond so many a second are one line with their number", async () => {
  await using host = new TestHost();
  const mv = host.client({ poolDir: host.poolDir, events: { thinAbove: 5, level: "debug" } });
  for (let i = 0; i < 100; i++) {
    mv.log.info("again", { i });
    mv.log.warn("again");
    mv.log.error("again");
    mv.log.info(`each another one ${i}`);
  }
  mv.log.debug("again");
  expect(counted(host, "again", "error")).toEqual({ recorded: 100, told: 0, thinned: 0 });
  expect(counted(host, "again", "debug")).toEqual({ recorded: 1, told: 0, thinned: 0 });
  expect(logs(host).filter(({ message }) => message.startsWith("each"))).toHaveLength(100);
  const ended = (level: string) => counted(host, "again", level).told > 0;
  await until("the second is over", () => ended("info") && ended("warn"));
  for (const level of ["info", "warn"]) {
    const { recorded, told, thinned } = counted(host, "again", level);
    expect(told).toBe(1);
    expect(recorded + thinned).toBe(100);
    // That it comes again is seen at its second line.
    expect(recorded).toBeLessThanOrEqual(7);
  }
});

test("are recorded again in the next second", async () => {
  await using host = new TestHost();
  const mv = host.client({ poolDir: host.poolDir, events: { thinAbove: 5 } });
  let written = 0;
  await until("some were recorded in two seconds", () => {
    for (let i = 0; i < 20; i++) mv.log.info("again", { n: written++ });
    return counted(host, "again", "info").told >= 2;
  });
  await mv.close();
  const { recorded, thinned } = counted(host, "again", "info");
  expect(recorded + thinned).toBe(written);
  expect(recorded).toBeGreaterThan(5);
});

test("are counted at the end of the process, and of its client", async () => {
  await using host = new TestHost();
  const mv = host.client({ poolDir: host.poolDir, events: { thinAbove: 1 } });
  for (let i = 0; i < 50; i++) mv.log.info("closed");
  await mv.close();
  expect(counted(host, "closed", "info")).toMatchObject({ told: 1 });
  const { poolDir } = host;
  const child = host.run("tests/client/events/fixtures/thinned.ts", { poolDir });
  expect(await child.exited).toBe(3);
  const { recorded, told, thinned } = counted(host, "exited", "info");
  expect([told, recorded + thinned]).toEqual([1, 50]);
});

test("a limit that is none is refused", () => {
  const made = (thinAbove: unknown) => () =>
    new MicroView({ app: "shop", service: "auth", events: { thinAbove } as object });
  expect(made(0)).toThrow("thinAbove has to be a number above 0");
  expect(made("many")).toThrow("thinAbove has to be a number above 0");
});
