// Agents that are killed between any two stores while a service records: each event is in the lake once.

import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { ShippingOptions } from "../../../src/events/shipping/protocol.ts";
import { TestHost } from "../../support/host.ts";
import { until } from "../../support/wait.ts";
import { recordingService, ringsOf } from "../recording.ts";
import { LakeStandIn } from "./stand-in.ts";

const LOAD = { burst: 20, restMs: 4 };

function optionsFor(lake: LakeStandIn, host: TestHost, spool = "spool"): ShippingOptions {
  return {
    lake: lake.url,
    spool: join(host.folder, spool),
    spoolBytes: 64 << 20,
    spoolAgeMs: 3_600_000,
    poolDir: host.poolDir,
    host: "here",
    isForAll: false,
    backoffMs: { first: 5, last: 50 },
  };
}

function shipper(
  host: TestHost,
  options: ShippingOptions,
  dieAfter?: { step: string; times: number },
) {
  return host.run("tests/events/shipping/fixtures/shipper.ts", { options, dieAfter });
}

/** The numbers from 0 on, in order, none missing and none twice; as many as calls have returned, or the one that had not. */
function expectAll(lake: LakeStandIn, returned: number): void {
  const numbers = lake.numbers();
  const wrong = numbers.findIndex((number, i) => number !== i);
  expect(wrong < 0 ? "in order" : numbers.slice(wrong - 1, wrong + 3)).toBe("in order" as never);
  expect([returned, returned + 1]).toContain(numbers.length);
  for (const blocks of lake.streams().values()) {
    for (const [i, { header }] of blocks.entries()) {
      expect(header.first).toBe(i === 0 ? 0 : blocks[i - 1]!.header.end);
    }
  }
}

describe("an agent that is killed", () => {
  test("between two stores, again and again, ships each event once", async () => {
    await using host = new TestHost();
    await using lake = new LakeStandIn();
    const options = optionsFor(lake, host);
    const { child, returned } = recordingService(host, LOAD);
    await until("it records", () => returned() > 0);
    for (const times of [1, 2, 3]) {
      for (const step of ["pending", "spooled", "total", "position"]) {
        const agent = shipper(host, options, { step, times });
        expect([step, await agent.exited]).toEqual([step, 137]);
      }
    }
    child.kill("SIGKILL");
    await child.exited;
    for (const step of ["ended", "removed"]) {
      const agent = shipper(host, options, { step, times: 1 });
      expect([step, await agent.exited]).toEqual([step, 137]);
    }
    expect(ringsOf(host)).toEqual([]);
    expectAll(lake, returned());
  }, 120_000);

  test("while the lake has taken a segment and not said so yet, ships it again, and it counts once", async () => {
    await using host = new TestHost();
    await using lake = new LakeStandIn();
    const { child, returned } = recordingService(host, LOAD);
    const options = optionsFor(lake, host);
    let agent = shipper(host, options);
    let deaths = 0;
    lake.fate = async (request) => {
      if (deaths >= 3) return undefined;
      const id = new URL(request.url).pathname.split("/").at(-1)!;
      lake.take(id, await request.bytes());
      deaths++;
      agent.kill("SIGKILL");
      return new Response("", { status: 503 });
    };
    for (let round = 0; round < 3; round++) {
      await agent.exited;
      agent = shipper(host, options);
    }
    await until("it goes on", () => lake.segments.size > 4);
    child.kill("SIGKILL");
    await child.exited;
    await until("no ring is left", () => ringsOf(host).length === 0);
    expectAll(lake, returned());
  }, 120_000);

  test("with a spool of its own leaves its blocks to another one, which makes the same", async () => {
    await using host = new TestHost();
    await using lake = new LakeStandIn();
    const { child, returned } = recordingService(host, LOAD);
    // "spooled" is between the store into the spool and the total that tells the ring of it.
    const deaths = ["spooled", "pending", "spooled", "total"];
    const untold = deaths.filter((step) => step === "spooled");
    await until("it records", () => returned() > 0);
    for (const [i, step] of deaths.entries()) {
      const agent = shipper(host, optionsFor(lake, host, `spool-${i}`), { step, times: 2 });
      expect([step, await agent.exited]).toEqual([step, 137]);
    }
    const others = shipper(host, optionsFor(lake, host, "spool"));
    await until("it ships", () => lake.segments.size > 3);
    child.kill("SIGKILL");
    await child.exited;
    await until("no ring is left", () => ringsOf(host).length === 0);
    others.kill("SIGTERM");
    await others.exited;
    // What the dead ones have left comes at last.
    for (const i of deaths.keys()) {
      const agent = shipper(host, optionsFor(lake, host, `spool-${i}`));
      await until("its spool is empty", () =>
        readdirSync(join(host.folder, `spool-${i}`)).every((name) => !name.endsWith(".seg")),
      );
      agent.kill("SIGTERM");
      await agent.exited;
    }
    // Those that died with a block in their spool that the ring was not told of: the next one had to make it again.
    expect(lake.repeated).toBe(untold.length);
    expectAll(lake, returned());
  }, 120_000);
});

describe("two agents", () => {
  test("never ship one ring, and the second one goes on when the first has died", async () => {
    await using host = new TestHost();
    await using lake = new LakeStandIn();
    await using other = new LakeStandIn();
    const { child, returned } = recordingService(host, LOAD);
    const first = shipper(host, optionsFor(lake, host, "first"));
    await until("the first ships", () => lake.segments.size > 1);
    const second = shipper(host, optionsFor(other, host, "second"));
    await until("the first goes on", () => lake.segments.size > 5);
    expect(other.segments.size).toBe(0);
    // In the lake of the second is what the first has not told the ring of; together they have all.
    first.kill("SIGTERM");
    await first.exited;
    await until("the second ships", () => other.segments.size > 2);
    child.kill("SIGKILL");
    await child.exited;
    await until("no ring is left", () => ringsOf(host).length === 0);
    second.kill("SIGTERM");
    await second.exited;
    const [before, after] = [lake.numbers(), other.numbers()];
    const all = [...before, ...after];
    expect(all).toEqual(Array.from(all, (_, n) => n));
    expect([returned(), returned() + 1]).toContain(all.length);
  }, 60_000);

  test("do not share a spool", async () => {
    await using host = new TestHost();
    await using lake = new LakeStandIn();
    const shipping = optionsFor(lake, host);
    await host.agent({ shipping });
    const second = host.agent({
      shipping,
      socketPath: join(host.folder, "second.sock"),
      poolDir: host.folder,
    });
    expect(second).rejects.toThrow(
      `another agent, process ${process.pid}, has the spool ${shipping.spool}`,
    );
    await second.catch(() => {});
  });
});

test("a service outlives three agents, and nothing of it is lost or doubled", async () => {
  await using host = new TestHost();
  await using lake = new LakeStandIn();
  const { child, returned } = recordingService(host, LOAD);
  for (let round = 0; round < 3; round++) {
    const before = lake.segments.size;
    const agent = shipper(host, optionsFor(lake, host));
    await until("it ships", () => lake.segments.size > before + 1);
    agent.kill("SIGKILL");
    await agent.exited;
  }
  child.kill("SIGKILL");
  await child.exited;
  const fourth = shipper(host, optionsFor(lake, host), { step: "final", times: 1 });
  expect(await fourth.exited).toBe(137);
  shipper(host, optionsFor(lake, host));
  await until("no ring is left", () => ringsOf(host).length === 0);
  expectAll(lake, returned());
}, 60_000);
