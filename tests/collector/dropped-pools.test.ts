// Agents that take pools away, or write their directories again, while they are read: what was under way is of no pool, and
// takes neither the collector nor another pool with it.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { Collector, type CollectorEvent } from "../../src/collector/index.ts";
import {
  decodeHeader,
  decodeState,
  directoryHalf,
  getU64,
  HEADER_LIVE_OFFSET,
  LAYOUT_VERSION,
  OP,
  RANGE_BYTES,
  REQUEST_BYTES,
  RESPONSE_BYTES,
  STATUS,
  setU64,
} from "../../src/layout/index.ts";
import { application, define, Scratch, TestWriter } from "../support/pools.ts";
import { until } from "../support/wait.ts";

const scratch = new Scratch();

/** An agent whose every answer the test decides. */
function agent(answers: {
  list(): unknown[];
  /** The pool as it is when this read is answered. */
  read(): Uint8Array;
  poolsGeneration(): number;
}) {
  const answer = (op: number, tag: number, ranges: { from: number; bytes: number }[]) => {
    const parts =
      op === OP.list
        ? [Buffer.from(JSON.stringify(answers.list()))]
        : ((image) => ranges.map(({ from, bytes }) => image.slice(from, from + bytes)))(
            answers.read(),
          );
    const body = Buffer.concat(parts);
    const head = new DataView(new ArrayBuffer(RESPONSE_BYTES));
    head.setUint32(0, STATUS.ok, true);
    head.setUint32(4, tag, true);
    setU64(head, 8, body.length);
    head.setUint32(16, answers.poolsGeneration(), true);
    return Buffer.concat([new Uint8Array(head.buffer), body]);
  };
  const data = Bun.listen<{ left: Buffer; isGreeted: boolean }>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        socket.data = { left: Buffer.alloc(0), isGreeted: false };
      },
      data(socket, bytes) {
        let left = Buffer.concat([socket.data.left, bytes]);
        if (!socket.data.isGreeted) {
          left = left.subarray(12 + left.readUInt32LE(8));
          socket.data.isGreeted = true;
          socket.write(new Uint8Array([0, 0, 0, 0, 1, 0, 0, 0]));
        }
        while (left.length >= REQUEST_BYTES) {
          const view = new DataView(left.buffer, left.byteOffset, left.length);
          const count = view.getUint32(8, true);
          const end = REQUEST_BYTES + count * RANGE_BYTES;
          if (left.length < end) break;
          const ranges = Array.from({ length: count }, (_, i) => {
            const at = REQUEST_BYTES + i * RANGE_BYTES;
            return { from: getU64(view, at), bytes: getU64(view, at + 8) };
          });
          socket.write(answer(view.getUint32(0, true), view.getUint32(12, true), ranges));
          left = left.subarray(end);
        }
        socket.data.left = Buffer.from(left);
      },
    },
  });
  const health = {
    ...{ status: "healthy", problems: [], version: "1", layoutVersion: LAYOUT_VERSION, pid: 1 },
    ...{ uptimeS: 1, bootId: "x", uid: 0, poolDir: null, dataPort: data.port, pools: [] },
  };
  const rest = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => Response.json(health),
  });
  return {
    target: { host: "127.0.0.1", port: rest.port! },
    [Symbol.dispose]() {
      data.stop(true);
      void rest.stop(true);
    },
  };
}

test("a pool that is taken off the list while its directory grows is gone, and nothing of it comes after", async () => {
  const app = application(scratch.pool());
  const writer = new TestWriter(app, { service: "auth" });
  writer.put(define.counter("before_total"), [], 1);
  const { header } = app.pool;
  const pool = { id: 1, app: "shop", poolId: header.poolId, fileBytes: header.fileBytes };
  let reads = 0;
  let lists = 0;
  using lying = agent({
    list() {
      if (++lists === 1) return [pool];
      // In the read that is under way there is something new.
      writer.put(define.counter("after_total"), [], 2);
      return [];
    },
    read() {
      reads++;
      return readFileSync(app.pool.path);
    },
    poolsGeneration: () => (reads < 20 ? 1 : 2),
  });
  const events: CollectorEvent[] = [];
  const snapshots: string[][] = [];
  const collector = new Collector({
    targets: [lying.target],
    transport: "tcp",
    intervalMs: 5,
    onSnapshot: ({ structure }) => snapshots.push([...structure.names.metrics]),
    onEvent: (event) => events.push(event),
  });
  collector.start();
  await until("it has ended", () => events.some(({ kind }) => kind === "gone"));
  const before = snapshots.length;
  await until("the agent is asked again", () => lists > 1);
  await collector.stop();
  expect(before).toBeGreaterThan(0);
  expect(snapshots.slice(before)).toEqual([]);
  expect(snapshots.flat()).not.toContain("after_total");
});

/** A pool's bytes with damage in so many of its directory's last records. */
function damaged(bytes: Buffer, count: number): Buffer {
  const header = decodeHeader(bytes, bytes.length);
  const { epoch, directoryBytes } = decodeState(bytes.subarray(HEADER_LIVE_OFFSET), header);
  const start = directoryHalf(header, epoch);
  const records: number[] = [];
  for (let at = start; at < start + directoryBytes; at += bytes.readUInt16LE(at + 2) * 8) {
    records.push(at);
  }
  for (const at of records.slice(-count)) bytes[at + 4]! ^= 1;
  return bytes;
}

test("damage of a directory that was rewritten is told, also where it is less than there was", async () => {
  const app = application(scratch.pool());
  const writer = new TestWriter(app, { service: "auth" });
  for (const name of ["a_total", "b_total", "c_total"]) writer.put(define.counter(name), [], 1);
  const { header } = app.pool;
  const pool = { id: 1, app: "shop", poolId: header.poolId, fileBytes: header.fileBytes };
  let image = damaged(readFileSync(app.pool.path), 3);
  using lying = agent({ list: () => [pool], read: () => image, poolsGeneration: () => 1 });
  const damage: string[] = [];
  let sequence = 0;
  const collector = new Collector({
    targets: [lying.target],
    transport: "tcp",
    intervalMs: 5,
    onSnapshot: (snapshot) => {
      sequence = snapshot.sequence;
    },
    onEvent: ({ kind, message }) => kind === "damaged" && damage.push(message),
  });
  collector.start();
  await until("the first damage is told", () => sequence > 0 && damage.length === 1);
  app.pool.compact();
  image = damaged(readFileSync(app.pool.path), 1);
  await until("the other damage is told", () => damage.length === 2);
  await collector.stop();
});
