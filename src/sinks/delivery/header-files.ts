// Files with the tokens, passwords and headers that a receiver knows us by. Their text is never shown.

import { readPlainFile, readTextFile, SettingError } from "../../settings/index.ts";

/** Headers that a file holds. */
class FileHeaders {
  constructor(
    readonly path: string,
    readonly label: string,
    readonly parse: (text: string) => Record<string, string> | undefined,
    readonly syntax: string,
  ) {}

  /** @throws SettingError telling what is wrong with the file */
  check(): void {
    if (this.#isWrong(readTextFile(this.path, this.label))) {
      throw new SettingError(`${this.label}: ${this.path} is not understood`, this.syntax);
    }
  }

  /** @throws Error when the file has become unreadable since */
  read(): Record<string, string> {
    const parsed = this.parse(readPlainFile(this.path).trim());
    if (parsed === undefined) throw new Error(`${this.path} is not understood`);
    return parsed;
  }

  #isWrong(text: string): boolean {
    return this.parse(text.trim()) === undefined;
  }
}

const VISIBLE = /^[\x21-\x7e]+$/;

export function bearerFrom(path: string, label: string): FileHeaders {
  const parse = (text: string) =>
    VISIBLE.test(text) ? { authorization: `Bearer ${text}` } : undefined;
  return new FileHeaders(path, label, parse, "it holds the token and nothing else");
}

export function basicFrom(path: string, label: string): FileHeaders {
  const parse = (text: string) =>
    /^[^:\r\n]+:[^\r\n]*$/.test(text)
      ? { authorization: `Basic ${Buffer.from(text).toString("base64")}` }
      : undefined;
  return new FileHeaders(path, label, parse, "it holds USER:PASSWORD and nothing else");
}

export function headersFrom(path: string, label: string): FileHeaders {
  const parse = (text: string) => {
    const headers: Record<string, string> = {};
    for (const line of text.split("\n")) {
      if (line.trim() === "") continue;
      const [, name, value] =
        /^([A-Za-z0-9!#$%&'*+.^_`|~-]+):\s*([\x20-\x7e]*?)\s*$/.exec(line) ?? [];
      if (name === undefined || value === undefined) return undefined;
      headers[name.toLowerCase()] = value;
    }
    return headers;
  };
  return new FileHeaders(path, label, parse, "it holds a NAME: VALUE on each line");
}
