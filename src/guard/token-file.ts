// Reads files of tokens, one per line. Those of servers also say what each token grants. Messages name lines, never
// tokens.

import { SCOPES, type Scope } from "../calling/index.ts";
import { checkAppName, WIRE_LIMITS } from "../layout/index.ts";
import { readTextFile, SettingError } from "../settings/index.ts";
import { splitList } from "../text/index.ts";
import { ANYONE, LOCAL, NOBODY, OWNER } from "./grants.ts";
import type { TokenEntry } from "./tokens.ts";

/** The syntax of a line, as messages show it. */
const SYNTAX = "TOKEN [apps=GLOB,GLOB…] [scopes=SCOPE,SCOPE…] [expires=TIME] [name=NAME]";

const OPTIONS = ["apps", "scopes", "expires", "name"] as const;
type Option = (typeof OPTIONS)[number];

/** A date, or a time with its offset from UTC. */
const TIME = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d))?$/;

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** The names of callers without a token. */
const OWN_NAMES: readonly string[] = [LOCAL, OWNER, ANYONE, NOBODY].map(({ name }) => name);

interface Line {
  number: number;
  words: string[];
}

/**
 * Reads a server's file of tokens.
 * @param label how messages name the file
 * @param scopesShown scopes that this server has a use for, as messages show them
 * @throws SettingError naming the invalid line
 */
export function readTokens(
  path: string | undefined,
  label: string,
  scopesShown?: string,
): TokenEntry[] | undefined {
  if (path === undefined) return undefined;
  return parseTokens(readTextFile(path, label), path, label, scopesShown);
}

/** Reads a client's token: the first one in the file. @throws SettingError if the file has none */
export function readToken(path: string | undefined, label: string): string | undefined {
  if (path === undefined) return undefined;
  const [line] = linesOf(readTextFile(path, label));
  if (line === undefined) throw new SettingError(`${label}: ${path} has no token`);
  return line.words[0];
}

/** @throws SettingError naming the invalid line */
export function parseTokens(
  text: string,
  path: string,
  label: string,
  scopesShown = "read,register",
): TokenEntry[] {
  const lines = linesOf(text);
  if (lines.length === 0) throw new SettingError(`${label}: ${path} has no token`);
  const places = new Map<string, number>();
  const names = new Map<string, number>();
  const entries = lines.map((line, index): TokenEntry => {
    const fail = (reason: string) =>
      new SettingError(`${label}: ${path}, line ${line.number}: ${reason}`);
    const entry = parseLine(line, `token-${index + 1}`, scopesShown, fail);
    const same = places.get(entry.token);
    if (same !== undefined) throw fail(`its token is that of line ${same}`);
    const namesake = names.get(entry.name);
    if (namesake !== undefined) {
      throw fail(`its name is that of line ${namesake}: give each token its own by name=`);
    }
    places.set(entry.token, line.number);
    names.set(entry.name, line.number);
    return entry;
  });
  for (const { name } of entries) {
    const line = places.get(name);
    if (line === undefined) continue;
    throw new SettingError(
      `${label}: ${path}, line ${names.get(name)}: its name is the token of line ${line}, and names are shown`,
    );
  }
  return entries;
}

/** The words of all lines that are not empty. A word that begins with # starts a comment. */
function linesOf(text: string): Line[] {
  return text
    .replace(/^\uFEFF/, "")
    .split("\n")
    .map((line, index) => {
      const words = line.split(/\s+/).filter((word) => word !== "");
      const comment = words.findIndex((word) => word.startsWith("#"));
      return { number: index + 1, words: comment < 0 ? words : words.slice(0, comment) };
    })
    .filter(({ words }) => words.length > 0);
}

function parseLine(
  { words: [token = "", ...options] }: Line,
  defaultName: string,
  scopesShown: string,
  fail: (reason: string) => Error,
): TokenEntry {
  if (optionOf(token) !== undefined) throw fail(`the token is missing: write ${SYNTAX}`);
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw fail("its token has characters that HTTP cannot carry: take letters, digits and signs");
  }
  if (token.length > WIRE_LIMITS.tokenBytes) {
    throw fail(`its token is longer than ${WIRE_LIMITS.tokenBytes} bytes`);
  }
  const given = new Map<Option, string>();
  for (const word of options) {
    const option = optionOf(word);
    // A word that is not an option may be part of the token, so the message does not repeat it.
    if (option === undefined) {
      throw fail(`what follows the token is not understood: write ${SYNTAX}`);
    }
    if (given.has(option)) throw fail(`${option}= stands there twice`);
    given.set(option, word.slice(option.length + 1));
  }
  const [apps, scopes, expires, name] = OPTIONS.map((option) => given.get(option));
  return {
    token,
    name: name === undefined ? defaultName : parseName(name, fail),
    ...(apps === undefined ? {} : { apps: parseApps(apps, fail) }),
    ...(scopes === undefined ? {} : { scopes: parseScopes(scopes, scopesShown, fail) }),
    ...(expires === undefined ? {} : { expiresAtMs: parseTime(expires, fail) }),
  };
}

function optionOf(word: string): Option | undefined {
  return OPTIONS.find((option) => word.startsWith(`${option}=`));
}

function parseScopes(text: string, shown: string, fail: (reason: string) => Error): Scope[] {
  const words = splitList(text);
  const known = SCOPES.filter((scope) => words.includes(scope));
  if (words.length === 0 || words.some((word) => !SCOPES.includes(word as Scope))) {
    throw fail(`scopes= takes some of ${SCOPES.join(", ")}: write scopes=${shown}`);
  }
  return known;
}

/** A date alone stands for its midnight in UTC. */
function parseTime(text: string, fail: (reason: string) => Error): number {
  const timeMs = TIME.test(text) ? Date.parse(text) : Number.NaN;
  const isReal = text.slice(0, 10) === dateOf(text.slice(0, 10));
  if (isReal && Number.isFinite(timeMs)) return timeMs;
  throw fail("expires= takes a date or a time: write expires=2027-01-31T12:00:00Z");
}

/** The date as it was parsed. It differs for dates that do not exist, such as 31 February. */
function dateOf(date: string): string | undefined {
  const timeMs = Date.parse(date);
  return Number.isFinite(timeMs) ? new Date(timeMs).toISOString().slice(0, 10) : undefined;
}

function parseName(name: string, fail: (reason: string) => Error): string {
  if (!NAME.test(name)) {
    throw fail("name= takes up to 64 letters, digits, dots, dashes and underscores");
  }
  if (OWN_NAMES.includes(name)) throw fail(`${name} is what those without a token are called`);
  return name;
}

/** Globs, in the syntax of collect's --app. */
function parseApps(text: string, fail: (reason: string) => Error): string[] {
  const globs = splitList(text);
  if (globs.length === 0) throw fail("apps= names no application: write apps=shop,bank-*");
  for (const glob of globs) {
    if (/[*?[{\\]/.test(glob)) continue;
    // A plain name that no application can have is a mistake. A glob may match a future one.
    try {
      checkAppName(glob);
    } catch (error) {
      throw fail((error as Error).message);
    }
  }
  return globs;
}
