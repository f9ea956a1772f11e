// Several values in one text, as flags and files of tokens have them: `a,b`. A comma inside braces belongs to a glob, as
// in `http_{requests,errors}_total`.

/** Splits a text at its top-level commas; empty parts vanish. */
export function splitList(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let part = "";
  for (const character of text) {
    if (character === "," && depth === 0) {
      parts.push(part);
      part = "";
      continue;
    }
    if (character === "{") depth++;
    if (character === "}" && depth > 0) depth--;
    part += character;
  }
  parts.push(part);
  return parts.map((entry) => entry.trim()).filter((entry) => entry !== "");
}
