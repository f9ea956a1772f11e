// Names, labels, units and reasons come from pools and agents, which may be hostile. Whatever is shown goes through here:
// no byte of theirs reaches a terminal as a command, and every line is as wide as it says.

// Controls (C0, DEL, C1), format characters (bidirectional overrides, zero width), line and paragraph separators,
// lone surrogates. https://unicode.org/reports/tr36/#Bidirectional_Text_Spoofing
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
const UNSAFE_OR_BACKSLASH = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\\]/gu;
// What can be written as it is; nearly every text is.
const PLAIN = /^[ !#-[\]-~]*$/;

const SHORT: Readonly<Record<string, string>> = {
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\\": "\\\\",
};

/** A text that a terminal shows as it is: what it would act upon is written as `\n`, `\x1b`, `\u{202e}`. */
export function printable(text: string): string {
  return PLAIN.test(text) ? text : text.replace(UNSAFE_OR_BACKSLASH, escapeCharacter);
}

/**
 * As {@link printable}, for a text of several lines whose backslashes and quotes are in order already, as JSON has it.
 * @param backslash what begins an escape; `\\\\` where the reader of the text takes one off
 */
export function printableLines(text: string, backslash = "\\"): string {
  return text.replace(UNSAFE, (character) =>
    character === "\n" ? character : escapeCharacter(character).replace("\\", () => backslash),
  );
}

function escapeCharacter(character: string): string {
  const short = SHORT[character];
  if (short !== undefined) return short;
  const code = character.codePointAt(0)!.toString(16);
  return code.length <= 2 ? `\\x${code.padStart(2, "0")}` : `\\u{${code}}`;
}

/** JSON that a terminal shows as it is, too. Reads back as exactly the same value. */
export function safeJson(value: unknown, indent?: number): string {
  const json = JSON.stringify(value, undefined, indent);
  // The only controls that JSON.stringify leaves are its own line feeds and those above U+007E.
  return json.replace(UNSAFE, (character) => {
    if (character === "\n") return character;
    let units = "";
    for (let i = 0; i < character.length; i++) {
      units += `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`;
    }
    return units;
  });
}

/** `{method="GET",path="/"}`, or nothing without labels. */
export function labelsText(names: readonly string[], values: readonly string[]): string {
  return names.length === 0 ? "" : `{${labelPairs(names, values)}}`;
}

/** `method="GET",path="/"` */
export function labelPairs(names: readonly string[], values: readonly string[]): string {
  return names
    .map((name, i) => `${printable(name)}="${printable(values[i] ?? "").replaceAll('"', '\\"')}"`)
    .join(",");
}

/** Columns that a printable text takes in a terminal. */
export function textWidth(text: string): number {
  return PLAIN.test(text) ? text.length : Bun.stringWidth(text);
}

/** A printable text cut to so many columns, with an ellipsis where something is missing. */
export function cutText(text: string, columns: number): string {
  if (textWidth(text) <= columns) return text;
  if (columns <= 0) return "";
  let kept = "";
  let width = 1;
  for (const character of text) {
    const more = textWidth(character);
    if (width + more > columns) break;
    kept += character;
    width += more;
  }
  return `${kept}…`;
}

/**
 * Printable texts cut to so many columns each. Where cut ends would make some of them look the same, what tells those
 * apart is kept instead: `http_req…/admi…200"}`.
 */
export function cutApart(texts: readonly string[], columns: number): string[] {
  const cut = texts.map((text) => cutText(text, columns));
  for (const alike of Map.groupBy(texts.keys(), (i) => cut[i]!).values()) {
    if (alike.length === 1) continue;
    const places = differences(alike.map((i) => texts[i]!));
    for (const i of alike) cut[i] = cutBetween(texts[i]!, places.get(texts[i]!)!, columns);
  }
  return cut;
}

/** Where each of some texts departs from others, from left to right. */
function differences(texts: readonly string[], places = new Map<string, number[]>()) {
  const [first = ""] = texts;
  let at = 0;
  for (const character of first) {
    if (!texts.every((text) => text.startsWith(character, at))) break;
    at += character.length;
  }
  for (const text of texts) places.set(text, [...(places.get(text) ?? []), at]);
  for (const part of Map.groupBy(texts, (text) => text.codePointAt(at)).values()) {
    if (part.length > 1 && new Set(part).size > 1) differences(part, places);
  }
  return places;
}

/** A text of which each part, from one place to the next, is cut so that all of them have room. */
function cutBetween(text: string, places: readonly number[], columns: number): string {
  const bounds = [0, ...places, text.length];
  const parts = bounds.slice(1).map((end, i) => text.slice(bounds[i], end));
  let left = columns;
  let waiting = parts.length;
  const room = new Array<number>(parts.length);
  for (const i of [...parts.keys()].sort((a, b) => textWidth(parts[a]!) - textWidth(parts[b]!))) {
    room[i] = Math.min(textWidth(parts[i]!), Math.floor(left / waiting--));
    left -= room[i]!;
  }
  return parts.map((part, i) => cutText(part, room[i]!)).join("");
}

/** A printable text in a column of its own, cut or filled up. */
export function fitLeft(text: string, columns: number): string {
  const cut = cutText(text, columns);
  return cut + " ".repeat(Math.max(0, columns - textWidth(cut)));
}

/** As {@link fitLeft}, for numbers. */
export function fitRight(text: string, columns: number): string {
  const cut = cutText(text, columns);
  return " ".repeat(Math.max(0, columns - textWidth(cut))) + cut;
}
