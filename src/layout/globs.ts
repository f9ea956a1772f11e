// Globs over names of applications, services and metrics: `*`, `?`, `[a-z]`, `[!x]`, `{a,b}`; `\` takes one literally.
// Unlike globs over paths, `*` also matches a slash: a service may be called `shop/auth`.

/**
 * Whether a name fits any of the globs; every name does when there are none.
 */
export function globs(patterns: readonly string[]): (name: string) => boolean {
  const expressions = patterns.map(expressionOf);
  return (name) => expressions.length === 0 || expressions.some((each) => each.test(name));
}

function expressionOf(glob: string): RegExp {
  const characters = [...glob];
  let source = "";
  let depth = 0;
  for (let i = 0; i < characters.length; i++) {
    const character = characters[i]!;
    const end = character === "[" ? characters.indexOf("]", i + 2) : -1;
    if (character === "*") source += ".*";
    else if (character === "?") source += ".";
    else if (character === "{" && characters.includes("}", i)) {
      source += "(?:";
      depth++;
    } else if (character === "}" && depth > 0) {
      source += ")";
      depth--;
    } else if (character === "," && depth > 0) source += "|";
    else if (end > 0) {
      source += classOf(characters.slice(i + 1, end));
      i = end;
    } else if (character === "\\" && i + 1 < characters.length) source += literal(characters[++i]!);
    else source += literal(character);
  }
  try {
    return new RegExp(`^${source}$`, "su");
  } catch {
    // What is no glob, such as an open brace or a range backwards, is a name.
    return new RegExp(`^${characters.map(literal).join("")}$`, "su");
  }
}

function classOf(characters: readonly string[]): string {
  const [first = "", ...rest] = characters;
  const negated = first === "!" || first === "^";
  const members = negated ? rest : characters;
  return `[${negated ? "^" : ""}${members.map((each) => (each === "-" ? each : literal(each))).join("")}]`;
}

function literal(character: string): string {
  return character.replace(/[$()*+.?[\\\]^{|}/]/, "\\$&");
}
