// Reads files that a person names: tokens, certificates, headers.

import { readFileSync } from "node:fs";
import { SettingError } from "./setting-error.ts";

/** What the system says, without the path, which has been said. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "a part of its path is no directory",
  EISDIR: "it is a directory",
  EACCES: "this user may not read it",
};

/**
 * The text of a file.
 * @param label how messages name it, e.g. `--ca`
 * @throws SettingError when it cannot be read or is empty
 */
export function readTextFile(path: string, label: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new SettingError(`${label}: cannot read ${path}: ${REASONS[code] ?? code}`);
  }
  if (text.trim() === "") throw new SettingError(`${label}: ${path} is empty`);
  // What some editors put first is no part of it.
  return text.replace(/^\uFEFF/, "");
}
