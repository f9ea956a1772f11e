// Reads what flags name: tokens, certificates.

import { readFileSync } from "node:fs";
import { UsageError } from "./errors.ts";

/** The text of a file. @throws UsageError naming the flag when it cannot be read or is empty */
export function readTextFile(path: string, label: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`${label}: cannot read ${path}: ${(error as Error).message}`);
  }
  if (text.trim() === "") throw new UsageError(`${label}: ${path} is empty`);
  return text;
}

/** A token: the first line of a file, so that it never stands on a command line. */
export function readToken(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  return readTextFile(path, "--token-file").split("\n")[0]!.trim();
}
