// Runs two machines that are joined by a cable: 10.77.0.1, `one`, and 10.77.0.2, `two`, each with
// an RDMA device rxe0 on its eth0. They share /out, where they can tell each other things.
//
//   bun tests/vm/pair.ts COMMAND_ONE COMMAND_TWO

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BuildError, ensureBuild } from "./build.ts";
import { interruption, type Link, MachineError, type Run, runMachine } from "./machine.ts";

const EXIT_MACHINE_FAILED = 125;

export interface PairRun
  extends Pick<Run, "folder" | "out" | "memoryMiB" | "cpus" | "timeoutS" | "signal"> {
  /** For the machine that serves; it is ended when the other is done. */
  readonly one: string;
  /** For the machine whose exit code counts. */
  readonly two: string;
  /** Gets the output, line by line, with the machine's name before each. */
  readonly onLine?: (line: string) => void;
}

/**
 * Boots both machines at once and runs their commands, which may not assume that the other is up.
 *
 * @returns the exit code of `two`
 * @throws MachineError when one of them fails, or `one` ends with an error before `two` is done
 */
export async function runPair(run: PairRun): Promise<number> {
  // Not twice at once.
  await ensureBuild();
  const sockets = await mkdtemp(join(tmpdir(), "microview-pair-"));
  const end = new AbortController();
  const signal = run.signal === undefined ? end.signal : AbortSignal.any([run.signal, end.signal]);
  const onLine = run.onLine ?? console.log;
  const start = (name: "one" | "two", link: Link): Promise<number> => {
    const { write, close } = lines((line) => onLine(`${name} | ${line}`));
    const machine: Run = { ...run, signal, name, link, command: run[name], onOutput: write };
    return runMachine(machine).finally(close);
  };
  const one = join(sockets, "one");
  const two = join(sockets, "two");
  const running = [
    start("one", {
      socket: one,
      peerSocket: two,
      address: "10.77.0.1/24",
      mac: "52:54:00:4d:56:01",
    }),
    start("two", {
      socket: two,
      peerSocket: one,
      address: "10.77.0.2/24",
      mac: "52:54:00:4d:56:02",
    }),
  ] as const;
  try {
    return await Promise.race([running[1], failureOf(running[0])]);
  } finally {
    end.abort(new MachineError("ended, because the other machine is done"));
    await Promise.allSettled(running);
    await rm(sockets, { recursive: true, force: true });
  }
}

/** Rejects when `one` fails; a server that ends well may have had nothing more to do. */
async function failureOf(one: Promise<number>): Promise<never> {
  const code = await one;
  if (code !== 0) throw new MachineError(`one ended with exit code ${code} before two was done`);
  return await new Promise<never>(() => {});
}

function lines(onLine: (line: string) => void): {
  write: (bytes: Uint8Array) => void;
  close: () => void;
} {
  const decoder = new TextDecoder();
  let rest = "";
  return {
    write: (bytes) => {
      const parts = (rest + decoder.decode(bytes, { stream: true })).split("\n");
      rest = parts.pop()!;
      for (const part of parts) onLine(part);
    },
    close: () => {
      if (rest !== "") onLine(rest);
    },
  };
}

if (import.meta.main) {
  const [one, two] = process.argv.slice(2);
  if (one === undefined || two === undefined) {
    console.error("usage: bun tests/vm/pair.ts COMMAND_ONE COMMAND_TWO");
    process.exit(2);
  }
  try {
    process.exitCode = await runPair({ one, two, signal: interruption() });
  } catch (error) {
    if (!(error instanceof MachineError || error instanceof BuildError)) throw error;
    console.error(`vm: ${error.message}`);
    process.exitCode = EXIT_MACHINE_FAILED;
  }
}
