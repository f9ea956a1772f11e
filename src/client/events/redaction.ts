// Which properties are never recorded, by their names: at any depth, before anything of them is stored.

import type { RedactionHook } from "./options.ts";

// In lower case and without marks: `x-api-key`, `clientSecret` and `DB_PASSWORD` are such names.
const SECRET_PARTS = [
  ...["password", "passwd", "passphrase", "secret", "authorization", "credential"],
  ...["apikey", "accesskey", "privatekey", "signingkey", "encryptionkey", "connectionstring"],
];
/** Words that mean something else where more follows: `tokenCount`, `cookieConsent`. Plurals are secrets too. */
const SECRET_ENDS = ["token", "cookie", "pwd", "jwt", "bearer", "csrf", "sessionid"];
/** A longer name is looked at from its end. */
const LOOKED_AT = 255;

export class Redaction {
  readonly #ends: readonly string[];

  /**
   * @param more names, and ends of names, that are secrets too
   * @param hook sees each property that is recorded, and gives what is recorded in its place
   */
  constructor(
    more: readonly string[] = [],
    readonly hook?: RedactionHook,
  ) {
    this.#ends = [...SECRET_ENDS, ...more.map(plain).filter((name) => name !== "")];
  }

  hides(name: string): boolean {
    const text = plain(name.slice(-LOOKED_AT));
    const singular = text.replace(/s$/, "");
    return (
      SECRET_PARTS.some((part) => text.includes(part)) ||
      this.#ends.some((end) => text.endsWith(end) || singular.endsWith(end))
    );
  }
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, "");
}
