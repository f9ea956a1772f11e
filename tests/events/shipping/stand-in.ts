// A lake of the tests: takes segments as a lake does, counts each block once by its id, and fails as it is told.

import { expect } from "bun:test";
import {
  type DecodedBlock,
  decodeBlock,
  decodeSegment,
  LEVELS,
} from "../../../src/layout/index.ts";
import { textAt, unzstd } from "../../support/blocks.ts";

/** What becomes of a request: undefined takes it, and "taken" takes it and then says nothing. */
export type Fate = Response | undefined;

export class LakeStandIn implements AsyncDisposable {
  /** Asked before each request is taken. */
  fate: (request: Request, count: number) => Fate | Promise<Fate> = () => undefined;
  readonly segments = new Map<string, Uint8Array>();
  readonly blocks = new Map<string, DecodedBlock>();
  readonly tokens: (string | null)[] = [];
  requests = 0;
  /** Blocks that came again, with the same in them. */
  repeated = 0;
  readonly #server;

  constructor() {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      idleTimeout: 255,
      fetch: async (request) => {
        const fate = await this.fate(request, this.requests++);
        const [, id] = /^\/v1\/segments\/([0-9a-f]{32})$/.exec(new URL(request.url).pathname) ?? [];
        if (request.method !== "PUT" || id === undefined) return new Response("", { status: 404 });
        this.tokens.push(request.headers.get("authorization"));
        if (fate !== undefined) return fate;
        this.take(id, await request.bytes());
        return new Response("", { status: 201 });
      },
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}`;
  }

  take(id: string, bytes: Uint8Array): void {
    const known = this.segments.get(id);
    if (known !== undefined) expect(bytes).toEqual(known);
    this.segments.set(id, bytes);
    for (const { block } of decodeSegment(bytes)) {
      const decoded = decodeBlock(block, unzstd);
      const { blockId, process } = decoded.header;
      // As in a lake, ids are an application's own.
      const id = `${process.app}/${blockId}`;
      const before = this.blocks.get(id);
      if (before === undefined) this.blocks.set(id, decoded);
      else if (known === undefined) {
        this.repeated++;
        expect(decoded).toEqual(before);
      }
    }
  }

  /** Blocks of a stream by their place: each begins where the one before has ended. */
  streams(): Map<string, DecodedBlock[]> {
    const streams = new Map<string, DecodedBlock[]>();
    for (const block of this.blocks.values()) {
      const streamId = `${block.header.process.app}/${block.header.stream.streamId}`;
      streams.set(streamId, [...(streams.get(streamId) ?? []), block]);
    }
    for (const blocks of streams.values()) {
      blocks.sort((a, b) => a.header.first - b.header.first || a.header.end - b.header.end);
    }
    return streams;
  }

  /** What was said in the logs of all blocks, in the order of each stream. */
  logs() {
    return [...this.streams().values()].flat().flatMap(({ header, logs }) =>
      Array.from({ length: logs.rows }, (_, i) => ({
        app: header.process.app,
        service: header.process.service,
        user: header.process.user,
        pid: header.process.pid,
        level: LEVELS[logs.level[i]!]!,
        target: textAt(logs.target, i),
        message: textAt(logs.message, i),
        properties: JSON.parse(textAt(logs.properties, i) || "{}") as Record<string, unknown>,
      })),
    );
  }

  /** The property n of the lines that have one. */
  numbers(): number[] {
    return this.logs().flatMap(({ properties: { n } }) => (typeof n === "number" ? [n] : []));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }
}
