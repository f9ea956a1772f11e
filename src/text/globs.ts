// Globs over names of applications, services and metrics: `*`, `?`, `[a-z]`, `[!x]`, `{a,b}`; `\` takes one literally.
// Unlike globs over paths, `*` also matches a slash: a service may be called `shop/auth`.
//
// Whoever may scrape an agent may send it globs, and whoever may register a metric chooses names: no glob may take long
// on any name. As a regular expression, which goes back and tries again, `{a,a}{a,a}…` or `*a*a*a…` would. Here a name
// is read once, with all places of the glob that it may have come to (Thompson, "Regular Expression Search Algorithm",
// 1968): the time is the product of both lengths.

type Fits = (character: string) => boolean;

/** A character, or what stands for several texts. */
type Part =
  | { kind: "one"; fits: Fits }
  | { kind: "any" }
  | { kind: "group"; alternatives: Part[][] };

/** A place in a glob, and where it leads. */
type State =
  | { kind: "one"; fits: Fits; next: number }
  | { kind: "any"; next: number }
  | { kind: "fork"; next: number[] }
  | { kind: "end" };

/**
 * Whether a name fits any of the globs; every name does when there are none.
 */
export function globs(patterns: readonly string[]): (name: string) => boolean {
  const tests = patterns.map(testOf);
  return (name) => tests.length === 0 || tests.some((fits) => fits(name));
}

function testOf(glob: string): (name: string) => boolean {
  // What is no glob, such as an open brace or a range backwards, is a name.
  const parts = parse([...glob]);
  if (parts === undefined) return (name) => name === glob;
  const states: State[] = [{ kind: "end" }];
  const start = compile(parts, 0, states);
  return (name) => run(states, start, name);
}

/** The parts of a glob, or undefined for what is none. */
function parse(characters: readonly string[]): Part[] | undefined {
  let parts: Part[] = [];
  /** Groups that are open, each with the parts that go on behind it. */
  const open: { behind: Part[]; alternatives: Part[][] }[] = [];
  const one = (fits: Fits) => parts.push({ kind: "one", fits });
  for (let i = 0; i < characters.length; i++) {
    const character = characters[i]!;
    const group = open.at(-1);
    const end = character === "[" ? characters.indexOf("]", i + 2) : -1;
    if (character === "*") {
      parts.push({ kind: "any" });
    } else if (character === "?") {
      one(() => true);
    } else if (character === "{" && characters.includes("}", i)) {
      const alternatives: Part[][] = [[]];
      parts.push({ kind: "group", alternatives });
      open.push({ behind: parts, alternatives });
      parts = alternatives[0]!;
    } else if (character === "}" && group !== undefined) {
      parts = group.behind;
      open.pop();
    } else if (character === "," && group !== undefined) {
      parts = [];
      group.alternatives.push(parts);
    } else if (end > 0) {
      const fits = classOf(characters.slice(i + 1, end));
      if (fits === undefined) return undefined;
      one(fits);
      i = end;
    } else {
      const literal = character === "\\" && i + 1 < characters.length ? characters[++i] : character;
      one((each) => each === literal);
    }
  }
  return open.length === 0 ? parts : undefined;
}

/** `a-z`, `!x`: one character of the class. Undefined for a range that goes backwards. */
function classOf(characters: readonly string[]): Fits | undefined {
  const [first = "", ...rest] = characters;
  const negated = first === "!" || first === "^";
  const members = negated ? rest : characters;
  const escaped = members.map((each) => each.replace(/[$()*+.?[\\\]^{|}/]/, "\\$&")).join("");
  try {
    // Of a single character, which takes no time.
    const expression = new RegExp(`^[${negated ? "^" : ""}${escaped}]$`, "su");
    return (each) => expression.test(each);
  } catch {
    return undefined;
  }
}

/** Adds states for parts that lead to the state `next`. @returns the first of them */
function compile(parts: readonly Part[], next: number, states: State[]): number {
  let behind = next;
  for (const part of parts.toReversed()) {
    const state: State =
      part.kind === "group"
        ? { kind: "fork", next: part.alternatives.map((each) => compile(each, behind, states)) }
        : { ...part, next: behind };
    behind = states.push(state) - 1;
  }
  return behind;
}

function run(states: readonly State[], start: number, name: string): boolean {
  // In which step a state was come to last: it is gone into once in each.
  const seen = new Int32Array(states.length).fill(-1);
  let step = 0;
  let here: number[] = [];
  const enter = (at: number, into: number[]): void => {
    if (seen[at] === step) return;
    seen[at] = step;
    const state = states[at]!;
    if (state.kind === "fork") for (const each of state.next) enter(each, into);
    else into.push(at);
    if (state.kind === "any") enter(state.next, into);
  };
  enter(start, here);
  for (const character of name) {
    step++;
    const there: number[] = [];
    for (const at of here) {
      const state = states[at]!;
      if (state.kind === "any") enter(at, there);
      else if (state.kind === "one" && state.fits(character)) enter(state.next, there);
    }
    here = there;
    if (here.length === 0) return false;
  }
  return here.includes(0);
}
