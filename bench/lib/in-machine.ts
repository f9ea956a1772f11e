// Runs a benchmark in the machine of tests/vm, for hosts that lack what it measures.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BuildError, ensureBuild } from "../../tests/vm/build.ts";
import { MachineError, runMachine } from "../../tests/vm/machine.ts";
import type { BenchContext } from "./bench.ts";
import { describeMachine } from "./machine.ts";
import type { Report, Row } from "./report.ts";

/** Set in the machine, where there is no going further. */
const INSIDE = "MICROVIEW_BENCH_INSIDE";
const REPORT = "report.json";
const TIMEOUT_S = 600;

export function isInMachine(): boolean {
  return process.env[INSIDE] !== undefined;
}

/** @throws Error when the machine cannot be built or does not boot, or the benchmark fails in it */
export async function runInMachine(name: string, context: BenchContext): Promise<Row[]> {
  const { quick, progress } = context;
  const out = await mkdtemp(join(tmpdir(), `microview-bench-${process.pid}-`));
  const flags = quick ? "--json --quick" : "--json";
  try {
    await ensureBuild(false, progress);
    const exitCode = await runMachine({
      name: `bench ${name}`,
      command: `bun bench/run.ts ${name} ${flags} >/out/${REPORT}`,
      environment: { [INSIDE]: "1" },
      out,
      timeoutS: TIMEOUT_S,
      onOutput: (bytes) => void process.stderr.write(bytes),
    });
    if (exitCode !== 0) throw new Error(`it failed in the machine with exit code ${exitCode}`);
    const { machine, rows } = (await Bun.file(join(out, REPORT)).json()) as Report;
    const cpu = `${machine.cpu}, emulated on ${describeMachine().cpu}`;
    context.measuredOn({ ...machine, cpu });
    return rows;
  } catch (error) {
    if (!(error instanceof BuildError || error instanceof MachineError)) throw error;
    throw new Error(
      `${error.message}\nrun it on a host that has what it measures, or where the machine of tests/vm can be made: docs/testing-in-machines.md`,
    );
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}
