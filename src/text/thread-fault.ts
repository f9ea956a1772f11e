// What a thread that has failed says of it. Bun's message begins with lines of the source around the place, which may be
// minified, and ends with the stack; neither is for a log.

const SOURCE = /^\s*\d+ \| /;
const CARET = /^\s*\^\s*$/;
const STACK = /^\s+at /;

/** What Bun says when a bundle lacks the file that a thread is to run. */
const LEFT_OUT = /ModuleNotFound resolving .*\(entry point\)/;

/** The error alone, on one line, and what to do where that is known. @param message of the event `error` of a worker */
export function threadFault(message: string): string {
  if (LEFT_OUT.test(message)) {
    return "the bundle lacks its source: leave microview out of the bundle, by --external 'microview/*'";
  }
  const lines = message.split("\n");
  const start = lines.findIndex((line) => !SOURCE.test(line) && !CARET.test(line));
  const behind = lines.slice(Math.max(0, start));
  const end = behind.findIndex((line) => STACK.test(line));
  const said = (end < 0 ? behind : behind.slice(0, end)).join(" ").trim();
  return said.replace(/^error: /, "");
}
