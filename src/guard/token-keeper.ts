// Keeps a server's tokens: replaces them when their file has changed, and warns when one expires.

import type { Log } from "./log.ts";
import { hashed, isExpired, type TokenEntry, Tokens } from "./tokens.ts";

/** A warning is logged for tokens with fewer characters. */
const SHORT_TOKEN = 16;

/** How long before a token expires a warning is logged. */
const WARN_AHEAD_MS = 7 * 24 * 3600e3;

export class TokenKeeper {
  readonly tokens: Tokens;
  /** Warnings that were logged, by name and expiry, so that each is logged once. */
  #said = new Set<string>();

  /** @param changed called when a token may have lost rights */
  constructor(
    entries: readonly TokenEntry[],
    readonly log: Log,
    readonly changed: () => void,
  ) {
    this.tokens = new Tokens(hashed(entries));
    this.#warnOfShort(entries);
    // Nothing was opened yet with an expired token, so `changed` is not called.
    this.#warnOfEnds(Date.now());
  }

  replace(entries: readonly TokenEntry[]): void {
    const before = this.tokens.known.map(({ name }) => name);
    this.tokens.replace(hashed(entries));
    const names = entries.map(({ name }) => name);
    this.log.info("the tokens were read again", {
      tokens: names.length,
      added: names.filter((name) => !before.includes(name)),
      gone: before.filter((name) => !names.includes(name)),
    });
    this.#warnOfShort(entries);
    this.changed();
    this.look();
  }

  /** Warns of tokens that expire soon or have expired. */
  look(nowMs = Date.now()): void {
    if (this.#warnOfEnds(nowMs)) this.changed();
  }

  /** @returns whether one has expired since the last call */
  #warnOfEnds(nowMs: number): boolean {
    let ended = false;
    for (const known of this.tokens.known) {
      const { name, expiresAtMs } = known;
      if (expiresAtMs === undefined || nowMs < expiresAtMs - WARN_AHEAD_MS) continue;
      const isOver = isExpired(known, nowMs);
      const key = `${name} ${expiresAtMs} ${isOver}`;
      if (this.#said.has(key)) continue;
      this.#said.add(key);
      ended ||= isOver;
      this.log.warn(isOver ? "a token has expired" : "a token expires soon", {
        token: name,
        expires: new Date(expiresAtMs).toISOString(),
        hint: "put a new one into the token file beside it, give it out, then take this one away",
      });
    }
    return ended;
  }

  #warnOfShort(entries: readonly TokenEntry[]): void {
    for (const { token, name } of entries) {
      if (token.length >= SHORT_TOKEN) continue;
      this.log.warn("a token is short enough to be guessed", {
        token: name,
        hint: `take at least ${SHORT_TOKEN} characters, e.g. from \`openssl rand -base64 24\``,
      });
    }
  }
}
