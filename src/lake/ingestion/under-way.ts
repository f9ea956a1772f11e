// Reads bodies of requests, as long as not too much of them is in memory: what has arrived counts, not what was declared,
// and no caller takes it all. Used by ingestion.

interface UnderWayOptions {
  /** Bytes of all bodies that have arrived and are not stored yet. */
  bytesMax: number;
  /** Of one caller. */
  bytesOfCallerMax: number;
  /** What a sender is told when there is no room. */
  refusal(): Error;
}

export class UnderWay {
  readonly #options: UnderWayOptions;
  #bytes = 0;
  readonly #bytesOf = new Map<string, number>();

  constructor(options: UnderWayOptions) {
    this.#options = options;
  }

  /**
   * @param caller whose body it is
   * @param use is made of it; it counts until that has ended
   * @throws what `refusal` makes when there is no room
   */
  async withBody<T>(
    request: Request,
    caller: string,
    use: (body: Uint8Array) => Promise<T>,
  ): Promise<T> {
    const chunks: Uint8Array[] = [];
    let taken = 0;
    try {
      for await (const chunk of request.body ?? []) {
        this.#take(caller, chunk.length);
        taken += chunk.length;
        chunks.push(chunk);
      }
      const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
      chunks.length = 0;
      return await use(body);
    } finally {
      this.#give(caller, taken);
    }
  }

  #take(caller: string, bytes: number): void {
    const { bytesMax, bytesOfCallerMax, refusal } = this.#options;
    const own = (this.#bytesOf.get(caller) ?? 0) + bytes;
    if (this.#bytes + bytes > bytesMax || own > bytesOfCallerMax) throw refusal();
    this.#bytes += bytes;
    this.#bytesOf.set(caller, own);
  }

  #give(caller: string, bytes: number): void {
    this.#bytes -= bytes;
    const left = (this.#bytesOf.get(caller) ?? 0) - bytes;
    if (left > 0) this.#bytesOf.set(caller, left);
    else this.#bytesOf.delete(caller);
  }
}
