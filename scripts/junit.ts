// Reads a JUnit report as `bun test --reporter=junit` writes it. For what counts tests: scripts/suites.ts, tests/vm/test.ts.

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** A test that was run, or left out. */
export interface Case {
  /** As bun was given it, relative to where it ran. */
  readonly file: string;
  /** With those of the groups around it, as bun prints it: `group > test`. */
  readonly name: string;
  readonly state: keyof Counts;
  /** Why it failed, as far as the report says so. */
  readonly error: string;
}

const ENTITIES: Readonly<Record<string, string>> = {
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
  amp: "&",
};

const TAG = /<(\/?)(\w+)((?:[^>"]|"[^"]*")*?)(\/?)>([^<]*)/g;

/** The test cases of a report, in its order. */
export function casesIn(xml: string): Case[] {
  const cases: Case[] = [];
  /** Names around the current place, from the file inwards. */
  const suites: string[] = [];
  let open: { -readonly [K in keyof Case]: Case[K] } | undefined;
  const end = (): void => {
    if (open !== undefined) cases.push(open);
    open = undefined;
  };
  for (const [, closing, tag, attributes = "", selfClosing, text = ""] of xml.matchAll(TAG)) {
    if (tag === "testsuite") {
      if (closing) suites.pop();
      else if (!selfClosing) suites.push(attribute(attributes, "name"));
    } else if (tag === "testcase") {
      if (!closing) {
        // The outermost suite is the file.
        const name = [...suites.slice(1), attribute(attributes, "name")].join(" > ");
        open = { file: attribute(attributes, "file"), name, state: "passed", error: "" };
      }
      if (closing || selfClosing) end();
    } else if (open !== undefined && !closing) {
      if (tag === "skipped") open.state = "skipped";
      if (tag === "failure" || tag === "error") {
        open.state = "failed";
        open.error = plain(text).trim() || attribute(attributes, "message").trim();
      }
    }
  }
  return cases;
}

/** Adds up test cases themselves, not the totals in a report's head, which also count suites. */
export function count(cases: readonly Case[]): Counts {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  for (const { state } of cases) counts[state]++;
  return counts;
}

function attribute(attributes: string, name: string): string {
  const found = attributes.match(new RegExp(`(?:^|\\s)${name}="([^"]*)"`));
  return plain(found?.[1] ?? "");
}

function plain(text: string): string {
  return text.replaceAll(/&(#x?)?(\w+);/g, (whole, numeric: string | undefined, code: string) => {
    if (numeric === undefined) return ENTITIES[code] ?? whole;
    return String.fromCodePoint(Number.parseInt(code, numeric === "#x" ? 16 : 10));
  });
}
