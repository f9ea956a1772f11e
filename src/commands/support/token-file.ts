// Reads --token-file: one token per line, for the agent with what it grants. Its messages name lines, never tokens.

import type { TokenEntry } from "../../agent/index.ts";
import { checkAppName, WIRE_LIMITS } from "../../layout/index.ts";
import { UsageError } from "./errors.ts";
import { readTextFile } from "./files.ts";
import { splitList } from "./list.ts";

const LABEL = "--token-file";

/** A line's syntax, as messages repeat it. */
const SYNTAX = "TOKEN [apps=GLOB,GLOB…] [name=NAME]";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** What the agent calls those who send no token. */
const OWN_NAMES: readonly string[] = ["local", "anyone", "nobody"];

interface Line {
  number: number;
  words: string[];
}

/** The tokens of a file that an agent is given. @throws UsageError naming the line that cannot be used */
export function readTokens(path: string | undefined, label = LABEL): TokenEntry[] | undefined {
  if (path === undefined) return undefined;
  return parseTokens(readTextFile(path, label), path, label);
}

/** The token of a file that a collector is given: the first one, whatever it grants. */
export function readToken(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  const [line] = linesOf(readTextFile(path, LABEL));
  if (line === undefined) throw new UsageError(`${LABEL}: ${path} has no token`);
  return line.words[0];
}

/** @throws UsageError naming the line that cannot be used */
export function parseTokens(text: string, path: string, label = LABEL): TokenEntry[] {
  const lines = linesOf(text);
  if (lines.length === 0) throw new UsageError(`${label}: ${path} has no token`);
  const places = new Map<string, number>();
  const names = new Map<string, number>();
  const entries = lines.map((line, index): TokenEntry => {
    const fail = (reason: string) =>
      new UsageError(`${label}: ${path}, line ${line.number}: ${reason}`);
    const entry = parseLine(line, `token-${index + 1}`, fail);
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
    throw new UsageError(
      `${label}: ${path}, line ${names.get(name)}: its name is the token of line ${line}, and names are shown`,
    );
  }
  return entries;
}

/** Lines that say something, as words. A word that begins with # and all behind it is a comment. */
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
  fail: (reason: string) => Error,
): TokenEntry {
  if (/^(apps|name)=/.test(token)) throw fail(`the token is missing: write ${SYNTAX}`);
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw fail("its token has characters that HTTP cannot carry: take letters, digits and signs");
  }
  if (token.length > WIRE_LIMITS.tokenBytes) {
    throw fail(`its token is longer than ${WIRE_LIMITS.tokenBytes} bytes`);
  }
  let apps: string[] | undefined;
  let name: string | undefined;
  for (const option of options) {
    // A word that is no option may be a part of the token, so it is not repeated.
    const [, key, value = ""] = /^(apps|name)=(.*)$/.exec(option) ?? [];
    if (key === undefined) throw fail(`what follows the token is not understood: write ${SYNTAX}`);
    if ((key === "apps" ? apps : name) !== undefined) throw fail(`${key}= stands there twice`);
    if (key === "apps") apps = parseApps(value, fail);
    else name = parseName(value, fail);
  }
  return { token, name: name ?? defaultName, ...(apps === undefined ? {} : { apps }) };
}

function parseName(name: string, fail: (reason: string) => Error): string {
  if (!NAME.test(name)) {
    throw fail("name= takes up to 64 letters, digits, dots, dashes and underscores");
  }
  if (OWN_NAMES.includes(name)) throw fail(`${name} is what the agent calls those without a token`);
  return name;
}

/** Globs as collect's --app takes them. */
function parseApps(text: string, fail: (reason: string) => Error): string[] {
  const globs = splitList(text);
  if (globs.length === 0) throw fail("apps= names no application: write apps=shop,bank-*");
  for (const glob of globs) {
    if (/[*?[{\\]/.test(glob)) continue;
    // What fits no application is a mistake; what is a glob may fit one that is to come.
    try {
      checkAppName(glob);
    } catch (error) {
      throw fail((error as Error).message);
    }
  }
  return globs;
}
