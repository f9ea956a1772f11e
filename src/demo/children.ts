// Starts the demo's processes from this very program, and sees to it that none outlives the demo.

/** How this program is started again: the binary itself, or bun with its source. */
function selfCommand(): string[] {
  const isCompiled = import.meta.url.includes("/$bunfs/");
  return isCompiled
    ? [process.execPath]
    : [process.execPath, new URL("../cli.ts", import.meta.url).pathname];
}

export interface Child {
  /** The first line that the child wrote. */
  line: string;
  /** Ends it: politely, then not. */
  stop(): Promise<void>;
}

/** Starts a child and waits for its first line. It ends when its standard input does, so also when we are killed. */
export async function startChild(args: readonly string[]): Promise<Child> {
  const child = Bun.spawn([...selfCommand(), ...args], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  const reader = child.stdout.getReader();
  const decoder = new TextDecoder();
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`\`microview ${args[0]}\` ended before it was ready`);
    text += decoder.decode(value, { stream: true });
  }
  return {
    line: text.slice(0, text.indexOf("\n")),
    stop: async () => {
      child.stdin.end();
      child.kill("SIGTERM");
      const impatience = setTimeout(() => child.kill("SIGKILL"), 2_000);
      await child.exited;
      clearTimeout(impatience);
    },
  };
}

/** Resolves when the process that started this one has gone. */
export async function parentGone(): Promise<void> {
  for await (const _ of process.stdin) {
    // Nothing is said on it; it only ends.
  }
}
