// Whether a thread's writer is attached to its agent: what `ready` waits for and gives, and the one line that a service
// writes after some seconds without an agent.

import type { ApiError } from "../rest/index.ts";

/** What `ready` found. */
export interface Readiness {
  /** Whether stores go to the pool, where others read them. */
  attached: boolean;
  /** Why not, or what the agent has refused; absent when all is well. */
  reason?: ApiError;
}

/** How long a service may be without an agent before it says so, and how long `ready` waits at most. */
const PATIENCE_MS = 5_000;

export class AttachmentStatus {
  readonly #who: string;
  readonly #isAttached: () => boolean;
  readonly #tell: (warning: ApiError) => void;
  readonly #over = Promise.withResolvers<void>();
  #isPlaced = false;
  #isClosed = false;
  /** Why it is not well; undefined when it is. */
  #reason: ApiError | undefined;
  /** What was said of being without an agent, until it has one again: each reason once. */
  readonly #said = new Set<string>();
  /** Runs from the first failure on, and says why when it is over. */
  #patience: Timer | undefined;
  #isImpatient = false;
  readonly #patienceMs: number;

  /**
   * @param who names the service in messages
   * @param reason why there is no agent, as long as nothing better is known
   * @param tell receives what a person should know, once
   */
  constructor(
    who: string,
    reason: ApiError,
    isAttached: () => boolean,
    tell: (warning: ApiError) => void,
    patienceMs = PATIENCE_MS,
  ) {
    this.#patienceMs = patienceMs;
    this.#who = who;
    this.#isAttached = isAttached;
    this.#tell = tell;
    this.failed(reason);
  }

  /** Resolves when all has its place, when the writer is closed, and in any case after {@link PATIENCE_MS}. */
  get ready(): Promise<Readiness> {
    if (this.#isPlaced || this.#isClosed) return this.#over.promise.then(() => this.#found());
    // Not unref'd: Bun spins on a top-level await that nothing keeps alive.
    let timer: Timer | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#patienceMs);
    });
    return Promise.race([this.#over.promise, timeout]).then(() => {
      clearTimeout(timer);
      return this.#found();
    });
  }

  /** Calls back when all has its place. */
  onReady(call: () => void): void {
    void this.#over.promise.then(() => {
      if (this.#isPlaced) call();
    });
  }

  /** What can be placed is in its place. @param isWell whether nothing was refused */
  placed(isWell: boolean): void {
    this.#isPlaced = true;
    this.#over.resolve();
    this.#calm();
    if (isWell) this.#reason = undefined;
    if (this.#said.size === 0) return;
    this.#said.clear();
    this.#tell({
      code: "attached",
      message: `${this.#who} is attached to the agent now`,
      hint: "what it counted meanwhile is in the pool",
    });
  }

  /** The agent has refused something; the warning was given elsewhere. */
  refused({ code, message, hint }: ApiError): void {
    this.#reason = { code, message, hint };
    // Whoever was told that it is not attached is told when it is.
    if (!this.#isAttached()) this.#said.add(message);
    this.#calm();
  }

  /** The last failure cannot change while this process lives: `ready` ends at once. */
  hopeless(): void {
    this.#over.resolve();
  }

  /** The agent does not answer: a warning follows when that lasts, and when the reason changes. */
  failed({ code, message, hint }: ApiError): void {
    if (this.#isClosed) return;
    const what = this.#isAttached()
      ? `new series of ${this.#who} wait for the agent`
      : `${this.#who} is not attached to an agent`;
    this.#reason = { code, message: `${what}: ${message}`, hint };
    if (this.#isImpatient) this.#say();
    if (this.#isImpatient || this.#patience !== undefined) return;
    this.#patience = setTimeout(() => {
      this.#patience = undefined;
      this.#isImpatient = true;
      this.#say();
    }, this.#patienceMs);
    // A service that is done ends, and says nothing.
    this.#patience.unref();
  }

  closed(): void {
    this.#calm();
    this.#isClosed = true;
    this.#reason = { code: "closed", message: `${this.#who} was closed`, hint: "" };
    this.#over.resolve();
  }

  #calm(): void {
    clearTimeout(this.#patience);
    this.#patience = undefined;
    this.#isImpatient = false;
  }

  #say(): void {
    if (this.#reason === undefined || this.#said.has(this.#reason.message)) return;
    this.#said.add(this.#reason.message);
    this.#tell(this.#reason);
  }

  #found(): Readiness {
    const attached = this.#isAttached();
    return this.#reason === undefined ? { attached } : { attached, reason: this.#reason };
  }
}
