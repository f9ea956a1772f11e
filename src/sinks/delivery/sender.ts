// Delivers a backlog to its receiver, one request after the other, in their order. While the receiver is away it tries
// again, with longer and longer pauses. What the receiver refuses is dropped. For all sinks that send, whatever their
// frames are.

import { jittered } from "../../calling/index.ts";
import { type Attempt, byProxy, failureOf, proxyOption, shortReason } from "../../http/index.ts";
import { counted } from "../../text/index.ts";
import type { Backlog, PushRequest } from "./backlog.ts";
import type { ExportCounters } from "./export-counters.ts";

export interface SenderOptions<Request extends PushRequest = PushRequest> {
  /** The receiver's address, which messages name. */
  url: string;
  /** Where a request goes, where that is not the address itself. */
  urlOf?: (request: Request) => string;
  /** POST unless given. */
  method?: "POST" | "PUT";
  /** How notices call the receiver. */
  name: string;
  /** What notices call an item of a request, e.g. "sample"; more than one with an s. */
  itemNoun: string;
  /** What becomes of refused requests, for notices: "dropped" unless given. */
  refusedAre?: string;
  /** Made for each request: a token's file may have changed. @throws Error telling why they cannot be made */
  headers: (request: Request) => Record<string, string>;
  /** The body that is sent, where it is another than the one that waits. @throws Error telling why it cannot be sent */
  bodyOf?: (request: Request) => Uint8Array<ArrayBuffer>;
  /** Sees each answer, and may return a verdict that overrides its status. */
  assess?: (request: Request, response: Response, answer: Uint8Array) => Verdict | undefined;
  /** Certificates to trust instead of the system's, PEM. */
  ca?: string;
  /** Certificate and key to show the receiver, PEM; read for each request too. */
  identity?: () => { cert: string; key: string };
  /** Whether a request that was refused with this status is sent again; otherwise it is dropped. */
  mayPass: (status: number) => boolean;
  /** Told of each request that was taken, with the answer's body. */
  onTaken?: (request: Request, answer: Uint8Array, contentType: string) => void;
  /** Told of each request that was refused for good, before it leaves the backlog. @param reason for people */
  onRefused?: (request: Request, reason: string) => void;
  /** Flags that set what is missing for TLS, for messages. */
  flags?: Attempt["flags"];
  /** A hint for messages, by the error code of a failed connection or the status of a refusal. */
  hintOf?: (code: string) => string | undefined;
  /** Receives messages for the person who runs this. */
  onNotice: (text: string) => void;
  timeoutMs?: number;
  backoffMs?: { first: number; last: number };
}

/**
 * What an answer says: the request is to be sent again at once, in another form, it is refused whatever its status says of
 * others, or this many of its items were written.
 */
export type Verdict = "again" | "refused" | { written: number; reason?: string };

interface SenderCounters {
  requests: number;
  items: number;
  /** Bytes of the bodies, as sent. */
  bytes: number;
  /** Requests that were sent again. */
  retries: number;
  /** Items that the receiver refused for good. */
  refused: number;
}

/** The counters of a sender and its backlog, in the form that sinks report. */
export function countersOf(
  protocol: string,
  { counters, backlog }: Pick<Sender, "counters"> & { backlog: Waiting },
): ExportCounters {
  const { dropped, items, bytes } = backlog;
  return { protocol, ...counters, dropped, waitingItems: items, waitingBytes: bytes };
}

const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_BACKOFF_MS = { first: 50, last: 5_000 };
/** A receiver that asks for longer is asked again after this. */
const MAX_RETRY_AFTER_MS = 5 * 60_000;
const MAX_REASON_LENGTH = 300;
const MAX_ANSWER_BYTES = 64 << 10;

type Outcome =
  | { kind: "taken"; written: number; reason: string }
  | { kind: "refused"; written: number; reason: string }
  | { kind: "again" }
  | { kind: "away"; reason: string; status?: number; retryAfterMs: number | undefined };

/** What a sender needs of a backlog. */
type Waiting<Request extends PushRequest = PushRequest> = Omit<
  Backlog,
  "peek" | "push" | "shift"
> & {
  peek(): Request | undefined;
  shift(request: Request): void;
};

export class Sender<Request extends PushRequest = PushRequest> {
  readonly counters: SenderCounters = { requests: 0, items: 0, bytes: 0, retries: 0, refused: 0 };
  readonly #aborting = new AbortController();
  readonly #refusals = new Set<string>();
  #wake: () => void = () => {};
  #running: Promise<void> | undefined;
  #ending = false;
  #awaySinceMs = Number.NaN;
  #denied: string | undefined;
  #droppedBefore = 0;

  constructor(
    readonly backlog: Waiting<Request>,
    readonly options: SenderOptions<Request>,
  ) {}

  /** Why the receiver lets nobody in with what it is shown; undefined while it does, or is away altogether. */
  get denied(): string | undefined {
    return this.#denied;
  }

  start(): void {
    this.#running ??= this.#run().catch(({ message }: Error) => {
      // Nothing that a receiver or a disk does leads here. Whoever pushes goes on; what waits stays undelivered.
      const { name, onNotice } = this.options;
      onNotice(`${name} is sent nothing any more: ${message}`);
    });
  }

  /** There is something to send. */
  wake(): void {
    this.#wake();
  }

  /**
   * Waits until everything is sent, for this time at most.
   * @param making resolves when no more requests are made
   * @returns items that were not delivered
   */
  async stop(graceMs: number, making?: Promise<void>): Promise<number> {
    const over = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      this.#aborting.abort();
      over.resolve();
    }, graceMs);
    await Promise.race([making, over.promise]);
    this.#ending = true;
    this.#wake();
    await this.#running;
    clearTimeout(timer);
    return this.backlog.items;
  }

  async #run(): Promise<void> {
    const { signal } = this.#aborting;
    const { first, last } = this.options.backoffMs ?? DEFAULT_BACKOFF_MS;
    let backoffMs = first;
    while (!signal.aborted) {
      const request = this.backlog.peek();
      if (request === undefined) {
        if (this.#ending) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      const outcome = await this.#send(request);
      if (outcome.kind === "again") continue;
      if (outcome.kind === "away") {
        if (signal.aborted) return;
        this.#noteAway(outcome);
        this.counters.retries++;
        const pauseMs = jittered(backoffMs);
        await pause(Math.max(pauseMs, outcome.retryAfterMs ?? 0), signal);
        backoffMs = Math.min(backoffMs * 2, last);
        continue;
      }
      backoffMs = first;
      if (outcome.kind === "refused") this.options.onRefused?.(request, outcome.reason);
      this.backlog.shift(request);
      this.#noteBack();
      const written = Math.min(outcome.written, request.items);
      this.counters.items += written;
      if (written < request.items || outcome.kind === "refused") {
        this.#noteRefused(request.items - written, outcome.reason);
      }
    }
  }

  async #send(request: Request): Promise<Outcome> {
    const { headers, ca, identity, timeoutMs = DEFAULT_TIMEOUT_MS } = this.options;
    const { urlOf, method = "POST" } = this.options;
    const url = urlOf?.(request) ?? this.options.url;
    const { mayPass, assess, bodyOf = ({ body }) => body } = this.options;
    let body: Uint8Array<ArrayBuffer>;
    try {
      body = bodyOf(request);
    } catch (error) {
      return { kind: "refused", written: 0, reason: (error as Error).message };
    }
    let response: Response;
    let answer: Uint8Array;
    try {
      this.counters.requests++;
      this.counters.bytes += body.length;
      response = await fetch(url, {
        method,
        headers: headers(request),
        body,
        // A request with a token goes to the address that was given, and nowhere else.
        redirect: "manual",
        ...proxyOption(url),
        signal: AbortSignal.any([this.#aborting.signal, AbortSignal.timeout(timeoutMs)]),
        ...(ca === undefined && identity === undefined
          ? {}
          : { tls: { ...(ca === undefined ? {} : { ca }), ...identity?.() } }),
      });
      answer = await readAnswer(response);
    } catch (error) {
      const hint = this.options.hintOf?.(String((error as NodeJS.ErrnoException).code));
      const why = await this.#whyAway(error as Error);
      const reason = hint === undefined ? why : `${why} (${hint})`;
      return { kind: "away", reason, retryAfterMs: undefined };
    }
    const { status } = response;
    const verdict = assess?.(request, response, answer);
    if (verdict === "again") return { kind: "again" };
    const isRefused = verdict === "refused";
    const told = isRefused ? undefined : verdict;
    if (status >= 200 && status < 300) {
      this.options.onTaken?.(request, answer, response.headers.get("content-type") ?? "");
      const reason = told?.reason ?? `${status}, with fewer written than were sent`;
      return { kind: "taken", written: told?.written ?? request.items, reason };
    }
    const text = new TextDecoder().decode(answer).trim().slice(0, MAX_REASON_LENGTH);
    const hint = this.options.hintOf?.(String(status));
    const said = `${status}${text === "" ? "" : `: ${text}`}${byProxy(url)}`;
    const reason = hint === undefined ? said : `${said} (${hint})`;
    if (isRefused || !mayPass(status)) {
      return { kind: "refused", written: told?.written ?? 0, reason: told?.reason ?? reason };
    }
    return { kind: "away", reason, status, retryAfterMs: retryAfterMs(response, Date.now()) };
  }

  /** Why there was no answer. It is examined only if it will be told. */
  async #whyAway(error: Error): Promise<string> {
    const { url, ca, identity, flags } = this.options;
    if (!Number.isNaN(this.#awaySinceMs) || this.#aborting.signal.aborted) {
      return shortReason(error);
    }
    const tls = { ...(ca === undefined ? {} : { ca }), ...identitySafely(identity) };
    return failureOf(error, { url, tls, ...(flags === undefined ? {} : { flags }) });
  }

  #noteAway({ reason, status }: { reason: string; status?: number }): void {
    const { name, onNotice } = this.options;
    const isDenied = status === 401 || status === 403;
    // One that was away and now wants another token is told of too: that ends only when somebody does something.
    const isNew = Number.isNaN(this.#awaySinceMs) || (isDenied && this.#denied === undefined);
    this.#denied = isDenied ? `${name} lets this token bring nothing: ${reason}` : undefined;
    if (!isNew) return;
    if (Number.isNaN(this.#awaySinceMs)) {
      this.#awaySinceMs = performance.now();
      this.#droppedBefore = this.backlog.dropped;
    }
    onNotice(`${name} does not take what it is sent, which is kept and tried again: ${reason}`);
  }

  #noteBack(): void {
    this.#denied = undefined;
    if (Number.isNaN(this.#awaySinceMs)) return;
    const seconds = ((performance.now() - this.#awaySinceMs) / 1000).toFixed(1);
    const dropped = this.backlog.dropped - this.#droppedBefore;
    this.#awaySinceMs = Number.NaN;
    const { name, itemNoun, onNotice } = this.options;
    onNotice(
      `${name} takes what it is sent again, after ${seconds} s; ` +
        (dropped === 0
          ? "nothing was lost"
          : `${counted(dropped, `${itemNoun} was`, `${itemNoun}s were`)} dropped, for which there was no room`),
    );
  }

  /** Tells each reason once: a receiver that refuses one request mostly refuses many. */
  #noteRefused(items: number, reason: string): void {
    this.counters.refused += items;
    const kind = reason.slice(0, 3);
    if (this.#refusals.has(kind)) return;
    this.#refusals.add(kind);
    const { name, itemNoun, refusedAre = "dropped", onNotice } = this.options;
    const refused = counted(items, `${itemNoun}, which is`, `${itemNoun}s, which are`);
    onNotice(`${name} has refused ${refused} ${refusedAre}: ${reason}`);
  }
}

/** Files that cannot be read are reported where the request is made, not here. */
function identitySafely(identity: SenderOptions["identity"]): { cert?: string; key?: string } {
  try {
    return identity?.() ?? {};
  } catch {
    return {};
  }
}

/** The beginning of an answer, up to a limit. */
async function readAnswer(response: Response): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of response.body ?? []) {
    parts.push(part);
    length += part.length;
    if (length > MAX_ANSWER_BYTES) break;
  }
  return Buffer.concat(parts);
}

/** RFC 9110, 10.2.3: seconds, or a date. */
export function retryAfterMs({ headers }: Response, nowMs: number): number | undefined {
  const text = headers.get("retry-after");
  if (text === null) return undefined;
  const ms = /^\d+$/.test(text.trim()) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(0, ms), MAX_RETRY_AFTER_MS);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
  });
}
