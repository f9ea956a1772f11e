// What ends a connection, or the reading thread, ends just that: the others are read on, and a collector can be stopped.

import { expect, spyOn, test } from "bun:test";
import { createServer, type Socket } from "node:net";
import { Collector, type CollectorEvent } from "../../src/collector/index.ts";
import { TargetReader } from "../../src/collector/target-reader.ts";
import type { FromReader } from "../../src/collector/worker-protocol.ts";
import { monotonicNs, Poll } from "../../src/ffi/index.ts";
import { HELLO_REPLY_BYTES, STATUS } from "../../src/layout/index.ts";
import { TestHost } from "../support/host.ts";
import { until } from "../support/wait.ts";

test("an agent that was killed just before it is asked is lost, and the reading thread lives on", async () => {
  let connection: Socket | undefined;
  let isAsked = false;
  const server = createServer((socket) => {
    connection = socket.on("error", () => {});
    socket.once("data", () => {
      isAsked = true;
    });
  }).listen(0, "127.0.0.1");
  await until("it listens", () => server.listening);
  const { port } = server.address() as { port: number };
  const told: FromReader[] = [];
  const poll = new Poll();
  const reader = new TargetReader(
    {
      target: 0,
      spec: { transport: "tcp", host: "127.0.0.1", port, token: "" },
      filter: { apps: [], services: [], metrics: [] },
      intervalNs: 1e6,
      buffers: 2,
    },
    poll,
    (message) => told.push(message),
  );
  // Only looks, so that nobody has told the reader by the time it asks.
  const looks = (bits: number) => {
    let seen = 0;
    poll.wait(monotonicNs(), (_fd, events) => {
      seen = events;
    });
    return (seen & bits) !== 0;
  };
  const [readable, hungUp] = [1, 16];
  await until("it is connected", () => {
    poll.wait(monotonicNs(), (_fd, events) => reader.ready(events));
    return isAsked;
  });
  const reply = Buffer.alloc(HELLO_REPLY_BYTES);
  reply.writeUInt32LE(STATUS.ok);
  connection!.write(reply);
  await until("it is greeted", () => looks(readable));
  reader.ready(readable);
  connection!.resetAndDestroy();
  await until("the connection is gone", () => looks(hungUp));
  reader.tick(monotonicNs());
  expect(reader.lost).toBe(true);
  expect(told.map(({ kind }) => kind)).toEqual(["lost"]);
  reader.close();
  poll.close();
  server.close();
});

test("a collector whose reading thread has failed says so, and can be stopped", async () => {
  await using host = new TestHost();
  await host.agent();
  let worker: Worker | undefined;
  const RealWorker = globalThis.Worker;
  const spy = spyOn(globalThis, "Worker").mockImplementation(((url: string) => {
    worker = new RealWorker(url);
    return worker;
  }) as never);
  const events: CollectorEvent[] = [];
  let snapshots = 0;
  const collector = new Collector({
    targets: [{ socketPath: host.socketPath }],
    intervalMs: 5,
    onSnapshot: () => snapshots++,
    onEvent: (event) => events.push(event),
  });
  collector.start();
  spy.mockRestore();
  await until("it is read", () => snapshots > 0);
  worker!.terminate();
  worker!.onerror!(new ErrorEvent("error", { message: "for a test" }));
  await until("it is said", () => events.some(({ fatal }) => fatal));
  expect(events.at(-1)).toMatchObject({
    kind: "away",
    message: "the reading thread failed: for a test",
  });
  await collector.stop();
});
