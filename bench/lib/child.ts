// What every program of this folder does that runs as a child of a benchmark: takes its options, says what it offers,
// and ends when its parent closes its stdin or dies.

export function childOptions<Options>(): Options {
  return JSON.parse(process.argv[2] ?? "{}") as Options;
}

/** Tells the parent what it waits for. */
export function offer(what: unknown): void {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

/** Calls back for each line of JSON from the parent; resolves when there will be none any more. */
export async function serveParent(
  onMessage: (message: unknown) => void | Promise<void> = () => {},
): Promise<void> {
  for await (const line of console) {
    // The end comes as an empty line.
    if (line !== "") await onMessage(JSON.parse(line));
  }
}
