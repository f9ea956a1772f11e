// Pool directories as an agent keeps them, DIR/<app>/pool, for the tests of inspect and doctor.

import { mkdirSync } from "node:fs";
import { Pool } from "../../src/agent/pool/pool.ts";
import type { Application } from "../../src/agent/registry/application.ts";
import { application, define, type Scratch, SMALL, TestWriter } from "../support/pools.ts";

/** A directory of pools in shared memory. */
export class PoolDirectory {
  readonly path: string;

  constructor(scratch: Scratch) {
    this.path = scratch.path();
    mkdirSync(this.path);
  }

  file(app: string): string {
    return `${this.path}/${app}/pool`;
  }

  /** An application whose pool this process keeps, as its agent would. */
  add(app: string): Application {
    mkdirSync(`${this.path}/${app}`);
    return application(Pool.create(this.file(app), app, { mode: 0o600, sizes: SMALL }));
  }
}

/** A shop as every test of inspect wants one: two services, all kinds of metric. */
export function addShop(directory: PoolDirectory): { app: Application; writer: TestWriter } {
  const app = directory.add("shop");
  const writer = new TestWriter(app, { service: "auth", pid: 42, threadId: 7 });
  const seconds = { unit: "seconds" };
  writer.put(define.counter("requests_total", ["path"]), ["/b"], 5);
  writer.put(define.counter("requests_total", ["path"]), ["/a"], 7);
  writer.put({ ...define.gauge("memory_bytes"), unit: "bytes" }, [], 1536);
  writer.put(define.gauge("hottest", "max"), [], Number.NaN);
  writer.put(
    { ...define.histogram("wait_seconds", [0.001, 0.002]), ...seconds },
    [],
    90,
    10,
    0,
    0.07,
  );
  const cart = new TestWriter(app, { service: "cart", pid: 43, threadId: 0 });
  cart.put(define.counter("items_total"), [], 3);
  return { app, writer };
}
