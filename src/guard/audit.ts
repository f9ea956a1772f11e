// A line for each call that was refused: who came from where, wanted what, and why not. So many at most, with a count of
// those that were left out, for whoever is refused may come as often as he likes.

import { NOBODY } from "./grants.ts";
import type { Log } from "./log.ts";
import { Buckets } from "./rate.ts";

export interface Refusal {
  /** By which of the server's ways in, e.g. `rest`. */
  transport: string;
  /** As the caller was told it. */
  code: string;
  /** The token's name, or `nobody`. */
  token: string;
  /** The caller's address; empty on the Unix socket. */
  peer: string;
  method?: string;
  path?: string;
}

const LINES_PER_SECOND = 10;
const LINES_AT_ONCE = 100;
/** How often is said how many were left out. */
const COUNT_INTERVAL_MS = 10_000;
/** Characters of a path that are shown. */
const MAX_PATH = 200;
/** A part of a path that somebody unknown has sent, and that is so long, may be somebody's token. */
const LONG_PART = 16;

export class Audit {
  readonly #lines = new Buckets(LINES_PER_SECOND, LINES_AT_ONCE);
  #leftOut = 0;
  #countedAtMs = 0;

  /** @param isSecret says of a part of a path that it must not be shown */
  constructor(
    readonly log: Log,
    readonly isSecret: (text: string) => boolean = () => false,
  ) {}

  refused({ path, method, ...refusal }: Refusal, nowMs = performance.now()): void {
    if (!this.#lines.take("", nowMs)) {
      this.#leftOut++;
      return;
    }
    this.log.warn("a call was refused", {
      audit: "refused",
      ...refusal,
      ...(method === undefined ? {} : { method: plain(method) }),
      ...(path === undefined ? {} : { path: this.#shown(path, refusal.token === NOBODY.name) }),
    });
  }

  /** Says how many lines were left out, now and then. */
  count(nowMs = performance.now()): void {
    if (this.#leftOut === 0 || nowMs - this.#countedAtMs < COUNT_INTERVAL_MS) return;
    this.log.warn("calls were refused without a line for each", {
      audit: "left-out",
      calls: this.#leftOut,
    });
    this.#leftOut = 0;
    this.#countedAtMs = nowMs;
  }

  /** A path as it may stand in a log: short, without what is secret, in characters that do nothing to a terminal. */
  #shown(path: string, isUnknown: boolean): string {
    const hides = (part: string) =>
      (isUnknown && part.length >= LONG_PART) || this.isSecret(decoded(part));
    const parts = path.slice(0, MAX_PATH).split("/");
    const shown = parts.map((part) => (hides(part) ? "…" : part)).join("/");
    return plain(path.length > MAX_PATH ? `${shown}…` : shown);
  }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Characters that are not visible, or turn the direction of others, as their numbers. */
function plain(text: string): string {
  return text.replace(
    /[^\p{L}\p{N}\p{P}\p{S} ]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}
