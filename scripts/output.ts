// Reads what `bun test` prints while it runs, for what its report lacks. Called by scripts/suites.ts.

/** An error that belongs to no test, such as a file that does not load. */
export interface Stray {
  readonly file: string;
  readonly error: string;
}

/** What a machine of a pair puts before each of its lines. */
const MACHINE = /^(?:one|two) \| /;
const FILE = /^(?:::group::)?(\S.*\.[cm]?[jt]sx?):$/;
const RESULT = /^\((?:pass|fail|skip|todo)\) /;
const FAILURE = /^\(fail\) (.*?)(?: \[[\d.]+m?s\])?$/;
/** Bun's remark after a failure, such as one that its time was over. */
const REMARK = /^ {2}\^ /;
const STRAY = "# Unhandled error between tests";
/** In the summary, which ends the output. */
const ERRORS = /^ *\d+ errors?$/;
const SUMMARY_LINES = 20;
const RULE = /^-{8,}$/;

/** Which tests failed. */
export function failuresIn(output: string): { file: string; name: string }[] {
  const failures: { file: string; name: string }[] = [];
  let file = "";
  for (const { text } of linesOf(output)) {
    file = text.match(FILE)?.[1] ?? file;
    const name = text.match(FAILURE)?.[1];
    if (name !== undefined) failures.push({ file, name });
  }
  return failures;
}

/** What was printed for a test that failed: since the test before it, and the remark that follows. */
export function printedFor(output: string, file: string, name: string): string {
  const lines = linesOf(output);
  let current = "";
  let start = 0;
  for (const [at, { text }] of lines.entries()) {
    const header = text.match(FILE);
    if (header) current = header[1]!;
    if (current === file && text.match(FAILURE)?.[1] === name) {
      let end = at + 1;
      while (REMARK.test(lines[end]?.text ?? "")) end++;
      const printed = [...lines.slice(start, at), ...lines.slice(at + 1, end)];
      return trimmed(printed.map(({ whole }) => whole));
    }
    if (header || RESULT.test(text) || REMARK.test(text)) start = at + 1;
  }
  return "";
}

/** Errors between tests. The report has none of them. */
export function straysIn(output: string): Stray[] {
  const strays: Stray[] = [];
  const lines = linesOf(output);
  // Bun's own count says whether there are any: tests may print what they like.
  if (!lines.slice(-SUMMARY_LINES).some(({ text }) => ERRORS.test(text))) return strays;
  let file = "";
  for (const [at, { text }] of lines.entries()) {
    file = text.match(FILE)?.[1] ?? file;
    if (text !== STRAY) continue;
    const start = at + (RULE.test(lines[at + 1]?.text ?? "") ? 2 : 1);
    const rule = lines.findIndex((line, index) => index >= start && RULE.test(line.text));
    const error = lines.slice(start, rule < 0 ? undefined : rule).map(({ whole }) => whole);
    strays.push({ file, error: trimmed(error) });
  }
  return strays;
}

/** At most so many lines of a text, and characters of a line: the first, which say what, and the last, which say where. */
export function shortened(text: string, lines: number, columns = 500): string {
  const all = text.split("\n").map((line) => {
    const over = line.length - columns;
    return over > 0 ? `${line.slice(0, columns)}… (${over} more characters)` : line;
  });
  if (all.length <= lines) return all.join("\n");
  const last = Math.floor(lines / 4);
  const first = lines - last - 1;
  const left = all.length - first - last;
  return [...all.slice(0, first), `… (${left} more lines)`, ...all.slice(-last)].join("\n");
}

function linesOf(output: string): { whole: string; text: string }[] {
  return Bun.stripANSI(output)
    .split(/\r*\n/)
    .map((whole) => ({ whole, text: whole.replace(MACHINE, "") }));
}

function trimmed(lines: readonly string[]): string {
  return lines
    .join("\n")
    .replace(/^(?:\s*\n)+/, "")
    .trimEnd();
}
