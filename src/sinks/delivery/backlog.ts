// Requests that wait for their receiver, oldest first, within a bound. In memory here; in files in write-ahead.ts.

/** A request's body, as it is sent. */
export interface PushRequest {
  body: Uint8Array<ArrayBuffer>;
  /** How many samples, data points or events it has, for the counters. */
  items: number;
  /** Version of the protocol that it is written in; 1 unless given. */
  version?: number;
}

/** Requests in the order in which they were made. They are sent in that order, because receivers accept no other. */
export interface Backlog {
  /** Keeps a request. The oldest requests are dropped when there is no room. */
  push(request: PushRequest): void;
  /** The oldest request; the same object until it is shifted or dropped. */
  peek(): PushRequest | undefined;
  /** Removes a request that was delivered or refused. Does nothing if it was dropped meanwhile. */
  shift(request: PushRequest): void;
  readonly items: number;
  readonly bytes: number;
  /** Items dropped because there was no room. */
  readonly dropped: number;
  /** Whether the requests outlive the process. */
  readonly durable: boolean;
  close(): void;
}

/** A backlog that ends with the process. */
export class MemoryBacklog implements Backlog {
  readonly durable = false;
  items = 0;
  bytes = 0;
  dropped = 0;
  #requests: PushRequest[] = [];
  #head = 0;

  constructor(readonly maxBytes: number) {}

  push(request: PushRequest): void {
    this.#requests.push(request);
    this.items += request.items;
    this.bytes += request.body.length;
    while (this.bytes > this.maxBytes && this.#requests.length - this.#head > 1) {
      this.dropped += this.#take().items;
    }
  }

  peek(): PushRequest | undefined {
    return this.#requests[this.#head];
  }

  shift(request: PushRequest): void {
    if (this.peek() === request) this.#take();
  }

  close(): void {}

  #take(): PushRequest {
    const request = this.#requests[this.#head]!;
    this.#head++;
    this.items -= request.items;
    this.bytes -= request.body.length;
    // Moving all of them each time would cost the square of their number.
    if (this.#head > 64 && this.#head * 2 > this.#requests.length) {
      this.#requests = this.#requests.slice(this.#head);
      this.#head = 0;
    }
    return request;
  }
}
