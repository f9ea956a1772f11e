// A pool's structure may move between any two reads of a collector. A value is never taken for another series' value.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import type { Application } from "../../src/agent/registry/application.ts";
import {
  type ByteRange,
  type Destination,
  newCounters,
  type Outcome,
  PoolReader,
  type ReadFailure,
  type RemotePool,
  SNAPSHOT_LEAD_BYTES,
  type Transport,
} from "../../src/collector/index.ts";
import { allocateBuffer } from "../../src/ffi/index.ts";
import { Gather, MERGE_GAP_SLOTS, planBytes } from "../../src/layout/index.ts";
import { application, define, Scratch, scan, TestWriter } from "../support/pools.ts";
import { patience } from "../support/speed.ts";

setDefaultTimeout(patience(60_000));

/** Every series counts in steps of a prime of its own, so that a value of another one shows. */
const PRIMES = [3, 5, 7, 11, 13, 17, 19, 23];

type Step =
  | { kind: "attach"; service: number }
  | { kind: "count"; writer: number; series: number }
  | { kind: "die"; writer: number }
  | { kind: "compact" };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("attach" as const), service: fc.nat(1) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("count" as const),
      writer: fc.nat(7),
      series: fc.nat(7),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("die" as const), writer: fc.nat(7) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("compact" as const) }) },
);

const bursts = fc.array(fc.constantFrom(0, 0, 0, 1, 6, 12), { minLength: 4, maxLength: 12 });

/** Reads the pool range by range, and lets the next step happen between two of them. */
class MovingTransport implements Transport {
  readonly name = "mmap";
  readonly fd = -1;
  readonly events = 0;
  readonly poolsGeneration = 1;
  readonly mergeGapSlots = MERGE_GAP_SLOTS;
  readonly counters = newCounters();

  constructor(
    readonly app: Application,
    readonly move: () => void,
  ) {}

  list(): void {}

  read(
    _pool: RemotePool,
    ranges: readonly ByteRange[],
    into: Destination,
    done: (failure: ReadFailure) => void,
  ): void {
    let at = 0;
    for (const { offset, bytes } of ranges) {
      into.bytes.set(this.app.pool.mapping.bytes(offset, bytes), at);
      at += bytes;
      this.move();
    }
    done(undefined);
  }

  progress(): void {}
  close(): void {}
}

const scratch = new Scratch();

describe("a snapshot of a pool whose structure moves under the read", () => {
  test("has every value under its own name, or is not taken", () => {
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 60, maxLength: 150, size: "max" }),
        bursts,
        (steps, bursts) => {
          const app = application(scratch.pool());
          const living: TestWriter[] = [];
          const pending = [...steps];
          const perform = (each: Step): void => {
            if (each.kind === "attach") {
              living.push(new TestWriter(app, { service: `service-${each.service}` }));
            } else if (each.kind === "compact") {
              app.pool.compact();
              scan(app);
            } else {
              const writer = living[each.writer % Math.max(1, living.length)];
              if (writer === undefined) return;
              if (each.kind === "count") {
                const prime = PRIMES[each.series]!;
                writer.put(define.counter("c_total", ["prime"]), [String(prime)], prime);
              } else {
                writer.die();
                living.splice(living.indexOf(writer), 1);
                scan(app);
              }
            }
          };
          // Something is there from the start.
          for (const each of pending.splice(0, pending.length / 3)) perform(each);
          let reads = 0;
          const transport = new MovingTransport(app, () => {
            // A page changes hands in several steps: some reads see all of them go by at once, others none.
            for (let left = bursts[reads++ % bursts.length]!; left > 0; left--) {
              const next = pending.shift();
              if (next !== undefined) perform(next);
            }
          });
          const memory = allocateBuffer(1 << 20);
          const { header } = app.pool;
          const remote = {
            id: 1,
            app: app.name,
            poolId: header.poolId,
            fileBytes: header.fileBytes,
          };
          const reader = new PoolReader(transport, remote, () => true, {
            memory: () => ({ address: memory.address, bytes: memory.bytes() }),
          });
          let outcome: Outcome | undefined;
          for (let round = 0; round < 8 || (pending.length > 0 && round < 500); round++) {
            reader.snapshot((each) => {
              outcome = each;
            });
            if (outcome?.kind !== "taken") continue;
            const { structure } = outcome;
            const { plan } = structure;
            const slots = new Float64Array(memory.buffer, SNAPSHOT_LEAD_BYTES, planBytes(plan) / 8);
            const values = new Float64Array(structure.valueCount);
            new Gather(structure).into(slots, values);
            for (const entry of structure.metrics) {
              for (const [at, index] of entry.indexes.entries()) {
                const prime = Number(structure.labelValues(entry, at)[0]);
                expect(values[index]! % prime).toBe(0);
              }
            }
          }
          pending.length = 0;
          reader.snapshot((each) => {
            outcome = each;
          });
          // Once nothing moves any more, the next one is taken.
          expect(outcome?.kind).toBe("taken");
          for (const writer of living) writer.die();
          memory.unmap();
          app.pool.close();
        },
      ),
      { numRuns: 150 },
    );
  });
});
