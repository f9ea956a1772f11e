// Looks after a server's tokens while it runs: takes others when their file has changed, and says when one ends.

import type { Log } from "./log.ts";
import { hashed, isExpired, type TokenEntry, Tokens } from "./tokens.ts";

/** Characters below which a token is warned of. */
const SHORT_TOKEN = 16;

/** How long before its end a token is warned of. */
const WARN_AHEAD_MS = 7 * 24 * 3600e3;

export class TokenKeeper {
  readonly tokens: Tokens;
  /** What was said of tokens that end, by name and end, so that it is said once. */
  #said = new Set<string>();

  /** @param changed called when a token that was worth something may be no more */
  constructor(
    entries: readonly TokenEntry[],
    readonly log: Log,
    readonly changed: () => void,
  ) {
    this.tokens = new Tokens(hashed(entries));
    this.#warnOfShort(entries);
    // Nobody has come by one that is over: nothing has to end.
    this.#warnOfEnds(Date.now());
  }

  replace(entries: readonly TokenEntry[]): void {
    const before = this.tokens.known.map(({ name }) => name);
    this.tokens.replace(hashed(entries));
    const names = entries.map(({ name }) => name);
    this.log.info("the tokens were read anew", {
      tokens: names.length,
      added: names.filter((name) => !before.includes(name)),
      gone: before.filter((name) => !names.includes(name)),
    });
    this.#warnOfShort(entries);
    this.changed();
    this.look();
  }

  /** Says which tokens end soon, and which have ended. */
  look(nowMs = Date.now()): void {
    if (this.#warnOfEnds(nowMs)) this.changed();
  }

  /** @returns whether one has ended since */
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
