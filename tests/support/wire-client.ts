// A client of the binary read protocol that sends what it is told, right or wrong, byte by byte if need be.

import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import {
  encodeHello,
  encodeRange,
  encodeRequest,
  getU64,
  HELLO_REPLY_BYTES,
  OP,
  RANGE_BYTES,
  REQUEST_BYTES,
  RESPONSE_BYTES,
  type WirePool,
} from "../../src/layout/index.ts";

export interface Answer {
  status: number;
  tag: number;
  poolsGeneration: number;
  body: Uint8Array;
}

export class WireClient implements Disposable {
  readonly socket: Socket;
  /** The agent has hung up. */
  closed = false;
  #tag = 0;
  #received: Buffer[] = [];
  #receivedBytes = 0;
  #wake: () => void = () => {};

  /**
   * @param tls speaks TLS with localhost
   * @param localAddress where it comes from
   */
  constructor(port: number, tls?: { ca: string }, localAddress = "127.0.0.1") {
    const to = { port, host: "127.0.0.1", localAddress };
    this.socket =
      tls === undefined ? connect(to) : connectTls({ ...to, ...tls, servername: "localhost" });
    this.socket.on("data", (bytes) => {
      this.#received.push(bytes as Buffer);
      this.#receivedBytes += bytes.length;
      this.#wake();
    });
    const close = () => {
      this.closed = true;
      this.#wake();
    };
    this.socket.on("error", close);
    this.socket.on("close", close);
    this.socket.on("end", close);
  }

  /** Bytes that have come and were not taken yet. */
  get received(): number {
    return this.#receivedBytes;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  send(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  /** Says hello. @returns the agent's status */
  async hello(token = ""): Promise<number> {
    this.send(encodeHello(token));
    return (await this.take(HELLO_REPLY_BYTES)).readUInt32LE(0);
  }

  async list(): Promise<WirePool[]> {
    this.send(request(OP.list, 0, [], ++this.#tag));
    const { body } = await this.answer();
    return JSON.parse(new TextDecoder().decode(body));
  }

  /** The id of an application's pool. */
  async pool(app: string): Promise<WirePool> {
    const pool = (await this.list()).find((each) => each.app === app);
    if (pool === undefined) throw new Error(`no pool of ${app}`);
    return pool;
  }

  async read(pool: number, ...ranges: [offset: number, bytes: number][]): Promise<Answer> {
    this.send(request(OP.read, pool, ranges, ++this.#tag));
    return this.answer();
  }

  /** The next answer. */
  async answer(): Promise<Answer> {
    const head = await this.take(RESPONSE_BYTES);
    const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
    const body = await this.take(getU64(view, 8));
    return {
      status: view.getUint32(0, true),
      tag: view.getUint32(4, true),
      poolsGeneration: view.getUint32(16, true),
      body,
    };
  }

  /** So many bytes. @throws Error when the agent hangs up before */
  async take(bytes: number): Promise<Buffer> {
    while (this.#receivedBytes < bytes) {
      if (this.closed) throw new Error(`hung up after ${this.#receivedBytes} of ${bytes} bytes`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const all = this.#received.length === 1 ? this.#received[0]! : Buffer.concat(this.#received);
    this.#received = [all.subarray(bytes)];
    this.#receivedBytes -= bytes;
    return all.subarray(0, bytes);
  }

  /** Waits until the agent hangs up. @returns what it said before */
  async end(): Promise<Buffer> {
    while (!this.closed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return Buffer.concat(this.#received);
  }
}

/** A request as bytes. */
export function request(
  op: number,
  pool: number,
  ranges: readonly (readonly [offset: number, bytes: number])[],
  tag: number,
): Uint8Array {
  const bytes = new Uint8Array(REQUEST_BYTES + ranges.length * RANGE_BYTES);
  const view = new DataView(bytes.buffer);
  let at = encodeRequest(view, 0, op, pool, ranges.length, tag);
  for (const [offset, length] of ranges) at = encodeRange(view, at, offset, length);
  return bytes;
}
