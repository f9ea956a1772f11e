// Reads files that flags name.

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
