// Where snapshots go, all at once: what one of them cannot take keeps nothing from the others, and makes a run fail.

import { expect, test } from "bun:test";
import { Writable } from "node:stream";
import { notDelivered, Outputs } from "../../src/commands/output/outputs.ts";
import { Source } from "../sinks/snapshots.ts";
import { define, Scratch } from "../support/pools.ts";

/** Keeps what is written to it, or throws instead. */
function stream(take: (text: string) => void): NodeJS.WriteStream {
  const made = new Writable();
  made.write = (text: string) => {
    take(text);
    return true;
  };
  return made as unknown as NodeJS.WriteStream;
}

test("a snapshot that cannot be printed ends nothing: it is told once, and the end has the loss", async () => {
  const said: string[] = [];
  const outputs = new Outputs(
    { format: "csv", perWriter: false, out: undefined, outBlock: undefined, force: false },
    {
      stdout: stream(() => {
        throw new Error("no more");
      }),
      stderr: stream((text) => said.push(text)),
      filter: { apps: [], services: [], metrics: [] },
      ...{ intervalMs: 1000, labelSource: false, once: false, isRecorded: false },
      statistics: () => [],
      onQuit() {},
      onFailure(error) {
        throw error;
      },
    },
  );
  const source = new Source(new Scratch());
  source.writer.put(define.counter("a_total"), [], 1);
  for (let i = 0; i < 3; i++) outputs.write(source.snapshot(i));
  expect(said).toEqual(["what is printed has failed, and goes on with what comes next: no more\n"]);
  const [end] = await outputs.close();
  expect(notDelivered(end!).message).toBe(
    "not all was delivered: what is printed; 3 snapshots lost by an error: no more",
  );
});
