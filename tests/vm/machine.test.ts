// The runner of the machines, from the outside: what it answers, and how it fails.

import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { patience } from "../support/speed.ts";
import { ensureBuild } from "./build.ts";
import { MachineError, type Run, runMachine } from "./machine.ts";

const IS_SKIPPED = Boolean(process.env["MICROVIEW_SKIP_VM"]);
/** The first time it downloads. */
const BUILD_TIMEOUT_MS = 300_000;

// Two machines at once take their time on a busy host.
setDefaultTimeout(patience(60_000));

async function run(options: Run): Promise<{ exitCode: number; output: string }> {
  const decoder = new TextDecoder();
  let output = "";
  // Without modules, which take a second to load.
  const exitCode = await runMachine({
    modules: [],
    ...options,
    onOutput: (bytes) => {
      output += decoder.decode(bytes, { stream: true });
    },
  });
  return { exitCode, output };
}

describe.skipIf(IS_SKIPPED)("a machine", () => {
  beforeAll(async () => void (await ensureBuild()), BUILD_TIMEOUT_MS);

  test.concurrent("answers with the command's output and exit code", async () => {
    const command = `printf '%s\\n' "two  words" "it's \\"$WORD\\""; echo error >&2; sleep 99 & exit 7`;
    expect(await run({ command, environment: { WORD: `a'b "c" $d` } })).toEqual({
      exitCode: 7,
      output: `two  words\nit's "a'b "c" $d"\nerror\n`,
    });
  });

  test.concurrent("that panics is an error with the kernel's words", async () => {
    const command = "echo c >/proc/sysrq-trigger";
    const error = await run({ command, name: "patient" }).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(MachineError);
    expect(error.message).toMatch(/^patient ended before its command did\n.*Kernel panic/s);
  });

  test.concurrent("that does not boot is tried again, and is an error when it never does", async () => {
    // Too little for the kernel to unpack its first files.
    const error = await run({ command: "true", memoryMiB: 64 }).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(MachineError);
    expect(error.message).toMatch(/^machine ended before its command did\n/);
  });

  test.concurrent("is ended when its time is over", async () => {
    const late = run({ command: "sleep 99", timeoutS: 0.2 });
    await expect(late).rejects.toThrow("machine did not end within 0.2 s");
  });

  test.concurrent("is ended when its caller gives up", async () => {
    const abandoned = run({ command: "sleep 99", signal: AbortSignal.timeout(200) });
    await expect(abandoned).rejects.toThrow("timed out");
  });
});
