// A service of its own process for tests: runs the code that it is sent, a line of JSON each, and answers with a line.
// Options are those of configure(); without any nothing is configured.

import client from "../../src/prom-client/index.ts";
import { Lines } from "../support/lines.ts";

const options = JSON.parse(process.argv[2]!);
if (options !== null) {
  client.configure({
    ...options,
    onWarning: (warning) => console.log(JSON.stringify({ warning: warning.message })),
  });
}
/** What one piece of code leaves for the next. */
const kept: Record<string, unknown> = {};

const lines = new Lines(Bun.stdin.stream());
for (;;) {
  const line = await lines.next().catch(() => process.exit());
  const code = new Function("client", "kept", `return (async () => { ${JSON.parse(line)} })()`);
  const result = await code(client, kept).catch((error: Error) => ({ threw: String(error) }));
  console.log(JSON.stringify({ result: result ?? null }));
}
