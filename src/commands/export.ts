// `microview export`: what a lake holds for a time range, as a file for another program's viewer.

import { defineSubcommand, flag, stopSignal, styleFor, UsageError } from "../command-line/index.ts";
import { counted, formatBytes } from "../text/index.ts";
import { endedBy } from "./explore/ended-by.ts";
import { LAKE_FLAGS, openLake, RANGE_FLAGS, rangeOf } from "./explore/lake-flags.ts";

export default defineSubcommand("export", {
  description:
    "Writes spans, logs and measures as a file that Perfetto's viewer opens, https://ui.perfetto.dev: processes and threads as tracks, spans as slices with arrows between services, logs as instants, measures as counters.",
  examples: [
    {
      command: "microview export --perfetto shop.pftrace --last 5m",
      does: "the last five minutes",
    },
    {
      command: "microview export --perfetto slow.pftrace --trace 4bf92f3577b34da6",
      does: "one request, with what its processes measured meanwhile",
    },
  ],
  flags: {
    perfetto: flag.path({ description: "file to write" }),
    trace: flag.text({
      hint: "ID",
      description: "only this trace; the beginning or the end of its id will do",
    }),
    force: flag.toggle({ description: "replace the file" }),
    ...RANGE_FLAGS,
    ...LAKE_FLAGS,
  },
  async run({ perfetto, trace, force, ...options }) {
    if (perfetto === undefined) {
      throw new UsageError("--perfetto is missing", "name a file, e.g. --perfetto shop.pftrace");
    }
    const { OutFile, perfettoFile, ProgressBar, traceIdIn, traceIdOf } = await import(
      "../explore/index.ts"
    );
    const traceDigits = trace === undefined ? undefined : traceIdIn(trace);
    if (trace !== undefined && traceDigits === undefined) {
      throw new UsageError(
        `--trace is no id of a trace: '${trace}'`,
        "it has 8 to 32 hexadecimal digits",
      );
    }
    const range = rangeOf(options);
    const client = await openLake(options);
    const stop = stopSignal();
    const traceId =
      traceDigits === undefined ? undefined : await traceIdOf(client, traceDigits, range, stop);
    const { stderr } = process;
    const bar = new ProgressBar({
      write: (text) => void (stderr.isTTY && stderr.write(text)),
    });
    const counts = { spans: 0, logs: 0, measures: 0 };
    const onProgress = (share: number) => bar.advance(share);
    const file = await OutFile.open(perfetto, force, "--perfetto");
    bar.start();
    try {
      const pieces = perfettoFile(client, { range, traceId, onProgress }, counts, stop);
      for await (const piece of pieces) await file.write(piece);
      await file.complete();
    } catch (error) {
      await file.discard();
      if (!stop.aborted) throw error;
      endedBy(stop);
      return;
    } finally {
      bar.stop();
    }
    const { spans, logs, measures } = counts;
    const what = [counted(spans, "span"), counted(logs, "log"), counted(measures, "measure")];
    const said = `${what.join(", ")}: ${formatBytes(file.bytes)} in ${perfetto}`;
    stderr.write(`${styleFor(stderr).dim(said)}\n`);
  },
});
