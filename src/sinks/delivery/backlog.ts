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
  /**
   * The oldest request, to be sent; the same object until it is shifted or dropped. Whoever calls it again has not
   * delivered the one before.
   */
  peek(): PushRequest | undefined;
  /** Removes a request that was delivered or refused. If it had to go meanwhile, it is not counted as dropped. */
  shift(request: PushRequest): void;
  /** Items that wait, or are being sent. */
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
  /** The request that is being sent. */
  #sent: PushRequest | undefined;
  /** It had to go for want of room. Whether it is dropped is known when it has been sent. */
  #overtaken: PushRequest | undefined;

  constructor(readonly maxBytes: number) {}

  push(request: PushRequest): void {
    this.#requests.push(request);
    this.items += request.items;
    this.bytes += request.body.length;
    while (this.bytes > this.maxBytes && this.#requests.length - this.#head > 1) {
      const oldest = this.#take();
      if (oldest === this.#sent) this.#overtaken = oldest;
      else this.#drop(oldest);
    }
  }

  peek(): PushRequest | undefined {
    if (this.#overtaken !== undefined) this.#drop(this.#overtaken);
    this.#overtaken = undefined;
    this.#sent = this.#requests[this.#head];
    return this.#sent;
  }

  shift(request: PushRequest): void {
    if (request === this.#overtaken) this.#overtaken = undefined;
    else if (request === this.#requests[this.#head]) this.#take();
    else return;
    this.items -= request.items;
    this.#sent = undefined;
  }

  close(): void {}

  #drop({ items }: PushRequest): void {
    this.dropped += items;
    this.items -= items;
  }

  #take(): PushRequest {
    const request = this.#requests[this.#head]!;
    this.#head++;
    this.bytes -= request.body.length;
    // Moving all of them each time would cost the square of their number.
    if (this.#head > 64 && this.#head * 2 > this.#requests.length) {
      this.#requests = this.#requests.slice(this.#head);
      this.#head = 0;
    }
    return request;
  }
}
