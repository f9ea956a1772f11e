// Snapshots of real pools for the tests of sinks: one writer or several, and a clock that the test moves.

import type { Application } from "../../src/agent/registry/application.ts";
import { Gather, type PoolSnapshot, Structures, type Wants } from "../../src/layout/index.ts";
import { application, type Scratch, TestWriter } from "../support/pools.ts";

/** A moment that is easy to read: 2026-01-02T03:04:05.678912Z. */
export const TAKEN_AT_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 678) + 0.912;

/** What a terminal must never be sent: CSI, C1 CSI, a bidirectional override, lines, quotes. */
export const HOSTILE = '\u001b[2J\u009b31m\u202e\n\r"q"\\\u2028,\u007f';

/** Controls and format characters that terminals act upon. */
export const ACTED_UPON = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

/** Every line of an output, after our own line feeds are taken away. */
export function hostileCharacters(output: string): string[] {
  return [...output.replaceAll("\n", "")].filter((character) => ACTED_UPON.test(character));
}

/** An application with one writer of the service "auth". */
export class Source {
  readonly app: Application;
  readonly writer: TestWriter;
  sequence = 0;
  readonly #structures: Structures;

  /** @param wants leaves out metrics of snapshots, as a collector's filter does */
  constructor(scratch: Scratch, service = "auth", wants: Wants = () => true) {
    this.#structures = new Structures({ wants });
    this.app = application(scratch.pool());
    this.writer = new TestWriter(this.app, { service, pid: 42, threadId: 7 });
  }

  /** A snapshot now, `atS` seconds after the first on the monotonic clock. */
  snapshot(atS = 0, some: Partial<PoolSnapshot> = {}): PoolSnapshot {
    const { pool, directory } = this.app;
    const structure = this.#structures.of(directory);
    const { plan } = structure;
    const slots = new Float64Array(plan.slotCount);
    const all = pool.slots.subarray(pool.header.pagesOffset / 8);
    let at = 0;
    for (const { first, count } of plan.ranges) {
      slots.set(all.subarray(first, first + count), at);
      at += count;
    }
    const values = new Float64Array(structure.valueCount);
    new Gather(structure).into(slots, values);
    return {
      source: "host:7070",
      app: "shop",
      sequence: ++this.sequence,
      takenAtMs: TAKEN_AT_MS + atS * 1000,
      monotonicNs: 1e9 + atS * 1e9,
      readMs: 0.05,
      latenessMs: 0.1,
      missed: 0,
      gap: undefined,
      generation: pool.generation,
      structure,
      slots: { kind: "copy", data: slots },
      values,
      ...some,
    };
  }
}

/** Collects what a sink writes. */
export class Output {
  readonly pieces: string[] = [];
  readonly write = (text: string): void => {
    this.pieces.push(text);
  };

  get text(): string {
    return this.pieces.join("");
  }

  get lines(): string[] {
    return this.text.split("\n").slice(0, -1);
  }
}
