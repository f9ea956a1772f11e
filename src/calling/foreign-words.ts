// Words of another program, as they are shown to people: an agent, or what answers in its place, may say anything.

/** Sentences of ours are shorter. */
const LENGTH_MAX = 500;

/** What a terminal could take for an order, or somebody for a line of its own. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** One line of bounded length without control characters; undefined for what is no text. */
export function foreignWords(said: unknown): string | undefined {
  if (typeof said !== "string") return undefined;
  const shown = said.length > LENGTH_MAX ? `${said.slice(0, LENGTH_MAX)}…` : said;
  return shown.replace(UNSAFE, "\ufffd");
}
