// What delivers snapshots delivers frames of any kind. Here they are batches of log lines: a sink for them, which a new
// one can be made after, is the parts of src/sinks/delivery and an encoding.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Backlog, MemoryBacklog, WriteAhead } from "../../../src/sinks/delivery/index.ts";
import { Presence } from "../../../src/sinks/delivery/presence.ts";
import { type PushSink, summaryLine } from "../../../src/sinks/delivery/push-sink.ts";
import { countersOf, Sender } from "../../../src/sinks/delivery/sender.ts";
import { type SinkEnd, Sinks } from "../../../src/sinks/index.ts";
import { Scratch } from "../../support/pools.ts";
import { until } from "../../support/wait.ts";

const scratch = new Scratch();

/** Lines that a service has logged. */
interface Batch {
  readonly source: string;
  readonly app: string;
  readonly lines: readonly string[];
}

class LogSink implements PushSink<Batch> {
  readonly sender: Sender;
  readonly #presence: Presence;
  #end: Promise<SinkEnd> | undefined;

  constructor(
    url: string,
    readonly backlog: Backlog,
    onNotice: (text: string) => void = () => {},
  ) {
    this.sender = new Sender(backlog, {
      ...{ url, name: "the log store", itemNoun: "event", onNotice },
      headers: () => ({ "content-type": "text/plain" }),
      mayPass: (status) => status >= 500,
      backoffMs: { first: 5, last: 20 },
    });
    this.sender.start();
    this.#presence = new Presence(60_000, (source, app) => this.#send(source, app, ["(ended)"]));
  }

  write({ source, app, lines }: Batch): void {
    this.#presence.see({ source, app });
    this.#send(source, app, lines);
  }

  gone(source: string, app?: string): void {
    if (app !== undefined) this.#presence.end(source, app);
  }

  get isBehind(): boolean {
    return this.backlog.bytes > 1000;
  }

  get isIdle(): boolean {
    return this.backlog.items === 0;
  }

  get counters() {
    return countersOf("log-lines", this.sender);
  }

  close(graceMs: number): Promise<SinkEnd> {
    this.#end ??= this.#close(graceMs);
    return this.#end;
  }

  async #close(graceMs: number): Promise<SinkEnd> {
    this.#presence.close();
    const lost = await this.sender.stop(graceMs);
    this.backlog.close();
    const { items, refused } = this.sender.counters;
    const summary = summaryLine(`${items} events sent`, {
      "events refused": refused,
      "events dropped": this.backlog.dropped,
      "events lost": lost,
    });
    return { summary, undelivered: lost + refused + this.backlog.dropped };
  }

  #send(source: string, app: string, lines: readonly string[]): void {
    const text = lines.map((line) => `${app} of ${source}: ${line}\n`).join("");
    this.backlog.push({ body: new TextEncoder().encode(text), items: lines.length });
    this.sender.wake();
  }
}

/** Stores lines, once it has given the answers that it was told to give first. */
class LogStore implements AsyncDisposable {
  text = "";
  readonly #server;

  constructor(readonly answers: Response[] = []) {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        const answer = this.answers.shift();
        if (answer !== undefined) return answer;
        this.text += await request.text();
        return new Response(null, { status: 204 });
      },
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}/logs`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }
}

const ONE: Batch = { source: "host:7070", app: "shop", lines: ["begun", "sold a pear"] };
const OTHER: Batch = { source: "host:7070", app: "bank", lines: ["begun"] };

describe.each<[string, () => Backlog]>([
  ["in memory", () => new MemoryBacklog(1 << 20)],
  ["in files", () => new WriteAhead(join(scratch.path(), "wal"), 1 << 20)],
])("batches that wait %s", (_, backlog) => {
  test("are delivered in order after the receiver was away, with the ends of applications", async () => {
    await using store = new LogStore([new Response(null, { status: 503 })]);
    const sink = new LogSink(store.url, backlog());
    const set = new Sinks<Batch>(() => {}, "batch");
    set.add("the log", sink);
    set.write(ONE);
    set.write(OTHER);
    set.gone("host:7070", "shop");
    expect(set.isIdle).toBe(false);
    await until("all is delivered", () => set.isIdle);
    expect(await set.close(5000)).toMatchObject({ summary: "4 events sent", undelivered: 0 });
    expect(store.text.split("\n")).toEqual([
      ...["shop of host:7070: begun", "shop of host:7070: sold a pear"],
      ...["bank of host:7070: begun", "shop of host:7070: (ended)", ""],
    ]);
    expect(sink.counters).toMatchObject({
      ...{ protocol: "log-lines", items: 4, requests: 4, retries: 1, refused: 0, waitingItems: 0 },
    });
  });

  test("are counted and told of as events where they are refused", async () => {
    await using store = new LogStore([new Response("too long", { status: 413 })]);
    const notices: string[] = [];
    const sink = new LogSink(store.url, backlog(), (text) => notices.push(text));
    sink.write(ONE);
    sink.write(OTHER);
    expect(await sink.close(5000)).toEqual({
      summary: "1 events sent; events refused 2",
      undelivered: 2,
    });
    expect(notices).toEqual([
      "the log store has refused 2 events, which are dropped: 413: too long",
    ]);
  });
});
