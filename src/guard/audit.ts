// Writes one log line per refused call: who called, from where, for what, and why it was refused. The number of lines is
// limited, since refused callers may come as often as they like. The rest is counted.

import { NOBODY } from "./grants.ts";
import type { Log } from "./log.ts";
import { Buckets } from "./rate.ts";

export interface Refusal {
  /** Which of the server's interfaces was called, e.g. `rest`. */
  transport: string;
  /** The error code that the caller got. */
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
/** How often the number of omitted lines is logged. */
const COUNT_INTERVAL_MS = 10_000;
/** Characters of a path that are logged. */
const MAX_PATH = 200;
/** A path segment of this length from an unknown caller may be a token. */
const LONG_PART = 16;

export class Audit {
  readonly #lines = new Buckets(LINES_PER_SECOND, LINES_AT_ONCE);
  #leftOut = 0;
  #countedAtMs = 0;

  /** @param isSecret whether a path segment must not be logged */
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

  /** Logs how many lines were omitted, at intervals. */
  count(nowMs = performance.now()): void {
    if (this.#leftOut === 0 || nowMs - this.#countedAtMs < COUNT_INTERVAL_MS) return;
    this.log.warn("calls were refused without a line for each", {
      audit: "left-out",
      calls: this.#leftOut,
    });
    this.#leftOut = 0;
    this.#countedAtMs = nowMs;
  }

  /** A path that is safe to log: short, without secrets and without control characters. */
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

/** Replaces invisible characters, and those that change the direction of text, by their numbers. */
function plain(text: string): string {
  return text.replace(
    /[^\p{L}\p{N}\p{P}\p{S} ]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}
