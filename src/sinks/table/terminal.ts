// A terminal as the table needs it: its size, its keys, and the commands that draw. Tests give one of their own.

/** What the live table asks of a terminal. */
export interface Terminal {
  size(): { columns: number; rows: number };
  /** @returns ends the listening and gives the keyboard back */
  listen(handlers: { key(key: Key): void; resize(): void }): () => void;
}

export type Key = "quit" | "up" | "down" | "pageUp" | "pageDown" | "home" | "end";

/** ECMA-48 and xterm's private modes. */
export const SCREEN = {
  enter: "\u001b[?1049h\u001b[?25l\u001b[2J",
  leave: "\u001b[?25h\u001b[?1049l",
  home: "\u001b[H",
  eraseLine: "\u001b[K",
  eraseBelow: "\u001b[J",
  /** For lines that may be longer than the screen is wide. */
  wrapOff: "\u001b[?7l",
  wrapOn: "\u001b[?7h",
} as const;

const KEYS: Readonly<Record<string, Key>> = {
  q: "quit",
  Q: "quit",
  // In raw mode Ctrl-C and Ctrl-D come as characters.
  "\u0003": "quit",
  "\u0004": "quit",
  "\u001b[A": "up",
  "\u001bOA": "up",
  k: "up",
  "\u001b[B": "down",
  "\u001bOB": "down",
  j: "down",
  "\u001b[5~": "pageUp",
  b: "pageUp",
  "\u001b[6~": "pageDown",
  " ": "pageDown",
  "\u001b[H": "home",
  "\u001bOH": "home",
  "\u001b[1~": "home",
  g: "home",
  "\u001b[F": "end",
  "\u001bOF": "end",
  "\u001b[4~": "end",
  G: "end",
};

// biome-ignore lint/suspicious/noControlCharactersInRegex: keys begin with ESC
const ONE_KEY = /\u001b\[[0-9;]*[A-Za-z~]|\u001bO[A-Z]|./gsu;

/** The keys in what a terminal has sent, without those that mean nothing here. */
export function keysIn(input: string): Key[] {
  return (input.match(ONE_KEY) ?? []).flatMap((text) => KEYS[text] ?? []);
}

/** The terminal of this process. Without a keyboard, as in `collect < file`, it has no keys. */
export function processTerminal(
  input: NodeJS.ReadStream = process.stdin,
  output: NodeJS.WriteStream = process.stdout,
): Terminal {
  return {
    size: () => ({ columns: output.columns || 80, rows: output.rows || 24 }),
    listen({ key, resize }) {
      const onData = (data: Buffer | string) => {
        for (const name of keysIn(data.toString())) key(name);
      };
      const hasKeys = input.isTTY === true;
      if (hasKeys) {
        input.setRawMode(true);
        input.on("data", onData);
        input.resume();
      }
      output.on("resize", resize);
      return () => {
        output.off("resize", resize);
        if (!hasKeys) return;
        input.off("data", onData);
        input.setRawMode(false);
        input.pause();
      };
    },
  };
}
