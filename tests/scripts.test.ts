// That `make test` comes to its end, and says how it went, whatever hangs.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { runBounded } from "../scripts/bounded.ts";
import { ROOT } from "./support/host.ts";
import { until } from "./support/wait.ts";

test("a command that hangs is ended with all that it has started", async () => {
  const mark = `98.${process.pid}`;
  const command = ["sh", "-c", `echo begun; sleep ${mark} & sleep ${mark}; echo never`];
  const { exitCode, output, how } = await runBounded(command, { shows: false, limitMs: 500 });
  expect(exitCode).not.toBe(0);
  expect(output).toBe("begun\n");
  expect(how).toBe("it did not end within 1 s");
  await until("nothing of it is left", () => {
    const { stdout } = Bun.spawnSync(["ps", "-eo", "args"]);
    return !stdout.toString().includes(`sleep ${mark}`);
  });
});

test("what a command leaves running in the background does not keep its end", async () => {
  const mark = `97.${process.pid}`;
  const { exitCode, output, how } = await runBounded(["sh", "-c", `sleep ${mark} & echo done $!`], {
    ...{ shows: false, limitMs: 60_000 },
  });
  process.kill(Number(output.trim().split(" ")[1]), "SIGKILL");
  expect({ exitCode, how }).toEqual({ exitCode: 0, how: undefined });
});

test("a signal ends `make test` with its closing line", async () => {
  const child = Bun.spawn([process.execPath, join(ROOT, "scripts/test.ts"), "tests/no-such-test"], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "ignore",
    env: { ...process.env, MICROVIEW_SKIP_VM: "1" },
  });
  const reader = child.stdout.getReader();
  let text = "";
  // The first check has been made, and others go on.
  while (!text.includes("\n")) text += new TextDecoder().decode((await reader.read()).value);
  child.kill("SIGTERM");
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += new TextDecoder().decode(part.value);
  }
  expect(await child.exited).toBe(1);
  expect(text).toMatch(/\n✗ ended by SIGTERM\n\n\d+ passed, \d+ failed\n$/);
});
