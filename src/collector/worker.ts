// The reading thread: keeps absolute deadlines by blocking in poll until the next one, and serves every agent's
// connection meanwhile. The event loop gets a turn only when the main thread has posted something.

import { monotonicNs, POLL, Poll, setTimerSlackNs, WakeEvent } from "../ffi/index.ts";
import { Spinner } from "./spinner.ts";
import { TargetReader } from "./target-reader.ts";
import type { FromReader, ToReader } from "./worker-protocol.ts";

declare const self: Worker;

const poll = new Poll();
const targets = new Map<number, TargetReader>();
let start: Extract<ToReader, { kind: "start" }> | undefined;
let wake: WakeEvent | undefined;
let spinner: Spinner | undefined;
let posted: Int32Array = new Int32Array(1);
let handled = 0;
let stopping = false;

function tell(message: FromReader): void {
  self.postMessage(message);
}

function run(): void {
  const wakeFd = wake!.fd;
  let called = false;
  while (!called && handled === Atomics.load(posted, 0)) {
    const now = monotonicNs();
    let nextNs = -1;
    for (const [id, reader] of targets) {
      if (reader.nextNs <= now) reader.tick(now);
      if (reader.lost) {
        reader.close();
        targets.delete(id);
        spun = [];
      } else if (nextNs < 0 || reader.nextNs < nextNs) {
        nextNs = reader.nextNs;
      }
    }
    spinner!.spin(readers(), nextNs);
    poll.wait(nextNs, (fd, events) => {
      if (fd === wakeFd) called = true;
      else ready(fd, events);
    });
  }
  wake!.clear();
  if (!stopping) setImmediate(run);
}

/** Made again when targets come or go. */
let spun: TargetReader[] = [];

function readers(): readonly TargetReader[] {
  if (spun.length !== targets.size) spun = [...targets.values()];
  return spun;
}

function ready(fd: number, events: number): void {
  for (const reader of targets.values()) {
    if (reader.transport.fd === fd) return reader.ready(events);
  }
}

self.onmessage = ({ data }: MessageEvent<ToReader>) => {
  handled++;
  switch (data.kind) {
    case "start":
      start = data;
      spinner = new Spinner(data.poll);
      posted = new Int32Array(data.posted);
      wake = WakeEvent.from(data.wakeFd);
      poll.add(wake.fd, POLL.in);
      setTimerSlackNs(1);
      setImmediate(run);
      break;
    case "target": {
      const { target, spec } = data;
      const { filter, intervalNs, buffers } = start!;
      try {
        const options = { target, spec, filter, intervalNs, buffers };
        // Only who adapts to it has to know.
        const took = start!.poll === "adaptive" ? (ns: number) => spinner!.took(ns) : undefined;
        const reader = new TargetReader(options, poll, tell, took);
        targets.set(target, reader);
        spun = [];
      } catch (error) {
        tell({ kind: "lost", target, reason: (error as Error).message });
      }
      break;
    }
    case "answer":
      targets.get(data.target)?.answer(data.ask, data.answer, data.error);
      break;
    case "lose":
      targets.get(data.target)?.lose(data.reason);
      break;
    case "stop":
      stopping = true;
      for (const reader of targets.values()) reader.close();
      targets.clear();
      tell({ kind: "stopped" });
      break;
  }
};
