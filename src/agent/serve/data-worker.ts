// The thread that serves the data plane. It blocks in poll; the main thread wakes it when it has posted a message.

import { Mapping, monotonicNs, POLL, Poll, WakeEvent } from "../../ffi/index.ts";
import { HEADER_BYTES_USED } from "../../layout/index.ts";
import { DataPlane } from "./data-plane.ts";
import type { FromWorker, ToWorker } from "./data-protocol.ts";

declare const self: Worker;

const poll = new Poll();
const memory = new Map<number, Mapping>();
let plane: DataPlane | undefined;
let wake: WakeEvent | undefined;
let posted: Int32Array = new Int32Array(1);
let handled = 0;

function tell(message: FromWorker): void {
  self.postMessage(message);
}

/** Serves until the main thread calls; then lets the event loop deliver its messages. */
function serve(): void {
  if (plane === undefined || wake === undefined) return;
  const current = plane;
  const wakeFd = wake.fd;
  let called = false;
  while (!called && handled === Atomics.load(posted, 0)) {
    poll.wait(current.nextTimeoutNs, (fd, events, count) => {
      if (fd === wakeFd) called = true;
      else current.ready(fd, events, count);
    });
    current.expire(monotonicNs());
  }
  wake.clear();
  setImmediate(serve);
}

function start(message: Extract<ToWorker, { kind: "start" }>): void {
  posted = new Int32Array(message.posted);
  try {
    plane = new DataPlane(poll, {
      ...message,
      counters: new Float64Array(message.counters),
      refused: (refusal) => tell({ kind: "refused", ...refusal }),
    });
  } catch (error) {
    tell({ kind: "failed", message: (error as Error).message });
    return;
  }
  wake = WakeEvent.from(message.wakeFd);
  poll.add(wake.fd, POLL.in);
  tell({ kind: "listening", port: plane.port });
  setImmediate(serve);
}

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  handled++;
  switch (data.kind) {
    case "start":
      start(data);
      break;
    case "add": {
      // Of the header alone: a view of all of a sparse file would count as a heap of gigabytes, hardly ever collected.
      const view = Mapping.at(data.pool.address, HEADER_BYTES_USED);
      memory.set(data.pool.id, view);
      plane?.add(data.pool, view);
      break;
    }
    case "drop":
      plane?.drop(data.id);
      // The memory is the main thread's; only this view of it ends.
      memory.get(data.id)?.buffer.transfer(0);
      memory.delete(data.id);
      tell({ kind: "dropped", id: data.id });
      break;
    case "tokens":
      plane?.renewTokens(data.tokens);
      break;
    case "stop":
      plane?.close();
      plane = undefined;
      tell({ kind: "stopped" });
      break;
  }
};
