// Names of users by their numbers, as this host has them.

import { readFileSync } from "node:fs";

const USERS = "/etc/passwd";

export class Users {
  readonly #names = new Map<number, string>();

  /** A user's name; the number where this host does not know it. */
  name(uid: number): string {
    const known = this.#names.get(uid);
    if (known !== undefined) return known;
    const name = nameOf(uid) ?? String(uid);
    this.#names.set(uid, name);
    return name;
  }
}

function nameOf(uid: number): string | undefined {
  try {
    const line = readFileSync(USERS, "utf8")
      .split("\n")
      .find((each) => each.split(":")[2] === String(uid));
    return line?.slice(0, line.indexOf(":"));
  } catch {
    return undefined;
  }
}
