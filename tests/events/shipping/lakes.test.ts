// Lakes that are away, slow, broken, or do not want what they are sent: what becomes of events then, and what is said.

import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { TestHost } from "../../support/host.ts";
import { until } from "../../support/wait.ts";
import { shipping } from "./running.ts";
import { LakeStandIn } from "./stand-in.ts";

function counted(to: number): number[] {
  return Array.from({ length: to }, (_, n) => n);
}

/** Stands before a lake: lets connections through, resets them, or never answers. */
class Gate implements AsyncDisposable {
  state: "open" | "resets" | "silent" = "open";
  connections = 0;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  private constructor(readonly lakeUrl: string) {
    this.#server = createServer((socket) => this.#take(socket));
  }

  static async before(lake: LakeStandIn): Promise<Gate> {
    const gate = new Gate(lake.url);
    await new Promise<void>((resolve) => gate.#server.listen(0, "127.0.0.1", resolve));
    return gate;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  #take(socket: Socket): void {
    this.connections++;
    this.#sockets.add(socket);
    socket.on("error", () => {});
    if (this.state === "silent") return;
    if (this.state === "resets") {
      socket.once("data", () => socket.resetAndDestroy());
      return;
    }
    const onward = connect(Number(new URL(this.lakeUrl).port), "127.0.0.1");
    this.#sockets.add(onward);
    onward.on("error", () => {});
    socket.pipe(onward).pipe(socket);
  }

  /** Ends what is open, so that the next request meets the state as it is now. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

describe("a lake", () => {
  test("that answers 503 for a while gets everything afterwards, once and in order", async () => {
    await using host = new TestHost();
    await using lake = new LakeStandIn();
    let isAway = true;
    lake.fate = () => (isAway ? new Response("starting", { status: 503 }) : undefined);
    const { said } = shipping(host, lake.url);
    const mv = host.client({ poolDir: host.poolDir });
    for (const n of counted(1000)) mv.log.info("a line", { n });
    await until("it was asked more than once", () => lake.requests > 3);
    for (const n of counted(1000)) mv.log.info("a line", { n: n + 1000 });
    isAway = false;
    await until("all has arrived", () => lake.numbers().length === 2000);
    expect(lake.numbers()).toEqual(counted(2000));
    expect(said).toEqual([
      expect.stringMatching(/^the lake at .* does not take .* tried again: 503: starting$/),
      expect.stringMatching(/^the lake at .* takes what it is sent again, .* nothing was lost$/),
    ]);
  });

  test.each(["resets", "silent"] as const)(
    "that is %s gets everything when it is well again",
    async (state) => {
      await using host = new TestHost();
      await using lake = new LakeStandIn();
      await using gate = await Gate.before(lake);
      const { said } = shipping(host, gate.url, { timeoutMs: 100 });
      const mv = host.client({ poolDir: host.poolDir });
      mv.log.info("a line", { n: 0 });
      await until("the first has arrived", () => lake.numbers().length === 1);
      gate.state = state;
      gate.cut();
      const before = gate.connections;
      mv.log.info("a line", { n: 1 });
      await until("it was tried again", () => gate.connections > before + 2);
      gate.state = "open";
      gate.cut();
      await until("the second has arrived", () => lake.numbers().length === 2);
      expect(lake.numbers()).toEqual([0, 1]);
      await until("it is said", () => said.length >= 2);
      expect(said.at(-1)).toContain("nothing was lost");
    },
  );

  test("that answers 429 with Retry-After is asked again", async () => {
    await using host = new TestHost();
    await using lake = new LakeStandIn();
    lake.fate = (_, count) =>
      count === 0 ? new Response("", { status: 429, headers: { "retry-after": "1" } }) : undefined;
    shipping(host, lake.url);
    host.client({ poolDir: host.poolDir }).log.info("a line", { n: 0 });
    await until("it has arrived", () => lake.numbers().length === 1);
    expect(lake.requests).toBe(2);
  });

  test("that refuses a segment for good is not sent it again; the segment stays aside, and others go on", async () => {
    await using host = new TestHost();
    await using lake = new LakeStandIn();
    lake.fate = (_, count) => (count === 0 ? new Response("no", { status: 400 }) : undefined);
    const { said, status } = shipping(host, lake.url);
    const mv = host.client({ poolDir: host.poolDir });
    mv.log.info("a line", { n: 0 });
    await until("it was refused", () => lake.requests === 1);
    mv.log.info("a line", { n: 1 });
    await until("the next has arrived", () => lake.numbers().length === 1);
    expect(lake.numbers()).toEqual([1]);
    const aside = readdirSync(join(host.folder, "spool/refused"));
    expect(aside).toEqual([expect.stringMatching(/^\d{10}-[0-9a-f]{32}\.seg$/)]);
    await until("it is counted", () => status()?.lost.refused === 1);
    expect(said).toEqual([
      expect.stringContaining(
        `refused 1 event, which is kept in ${host.folder}/spool/refused: 400: no`,
      ),
      "1 event was not shipped: the lake has refused them for good",
    ]);
  });

  test("that refuses one application's events gets those of others", async () => {
    await using host = new TestHost();
    await using lake = new LakeStandIn();
    lake.fate = async (request) => {
      const text = await request.clone().text();
      const isForeign = text.includes('"app":"bank"');
      return isForeign ? Response.json({ code: "foreign-app" }, { status: 403 }) : undefined;
    };
    const { status } = shipping(host, lake.url);
    const [shop, bank] = ["shop", "bank"].map((app) => host.client({ poolDir: host.poolDir, app }));
    for (const n of counted(10)) {
      shop!.log.info("a line", { n });
      bank!.log.info("a line", { n });
    }
    await until("one was refused", () => status()?.lost.refused === 10);
    await until("the other has arrived", () => lake.numbers().length === 10);
    expect(new Set(lake.logs().map(({ app }) => app))).toEqual(new Set(["shop"]));
    expect(status()?.aside).toBeGreaterThan(0);
  });

  for (const status of [401, 403, 404]) {
    test(`that answers ${status} is asked again, and nothing is lost`, async () => {
      await using host = new TestHost();
      await using lake = new LakeStandIn();
      let isDenied = true;
      lake.fate = () => (isDenied ? new Response("no", { status }) : undefined);
      const shipped = shipping(host, lake.url);
      const mv = host.client({ poolDir: host.poolDir });
      mv.log.info("a line", { n: 0 });
      await until("the lake was asked", () => lake.requests > 3);
      const isToken = status !== 404;
      await until("it is shown", () => (shipped.status()?.denied !== undefined) === isToken);
      expect(shipped.said).toEqual([
        expect.stringMatching(
          isToken
            ? /kept and tried again: 40[13]: no .*scopes=ingest/
            : /kept and tried again: 404/,
        ),
      ]);
      isDenied = false;
      await until("it has arrived", () => lake.numbers().length === 1);
      await until("it is over", () => shipped.status()?.shipped === 1);
      expect(shipped.status()).toMatchObject({ lost: { refused: 0 }, aside: 0 });
      expect(shipped.status()?.denied).toBeUndefined();
    });
  }

  test("is shown the token that the file holds now", async () => {
    await using host = new TestHost();
    await using lake = new LakeStandIn();
    const tokenFile = join(host.folder, "token");
    await Bun.write(tokenFile, "first-token-of-the-tests");
    shipping(host, lake.url, { tokenFile });
    const mv = host.client({ poolDir: host.poolDir });
    mv.log.info("a line", { n: 0 });
    await until("the first has arrived", () => lake.tokens.length === 1);
    await Bun.write(tokenFile, "second-token-of-the-tests");
    mv.log.info("a line", { n: 1 });
    await until("the second has arrived", () => lake.tokens.length === 2);
    expect(lake.tokens).toEqual([
      "Bearer first-token-of-the-tests",
      "Bearer second-token-of-the-tests",
    ]);
  });

  test("that nobody serves costs the spool's size at most: the oldest goes first, and what is lost is counted", async () => {
    await using host = new TestHost();
    await using lake = new LakeStandIn();
    let isAway = true;
    lake.fate = () => (isAway ? new Response("", { status: 503 }) : undefined);
    const { said, status } = shipping(host, lake.url, { spoolBytes: 300_000 });
    const mv = host.client({ poolDir: host.poolDir });
    let n = 0;
    await until("some were lost", async () => {
      // Texts that zstd cannot make small.
      for (let i = 0; i < 200; i++) {
        const text = Buffer.from(crypto.getRandomValues(new Uint8Array(90))).toString("base64");
        mv.log.error(text, { n: n++ });
      }
      await Bun.sleep(10);
      return (status()?.lost.size ?? 0) > 0;
    });
    expect(status()!.spoolBytes).toBeLessThanOrEqual(300_000);
    isAway = false;
    mv.log.error("the last", { n });
    await until("the last has arrived", () => lake.numbers().includes(n));
    await until("nothing waits", () => status()?.waiting === 0);
    const numbers = lake.numbers();
    expect(numbers).toEqual([...new Set(numbers)]);
    // What found no room in the ring, while this thread was busy, is told there.
    const refused = lake
      .logs()
      .reduce((sum, { properties: { severe } }) => sum + (Number(severe) || 0), 0);
    expect(numbers.length + status()!.lost.size + refused).toBe(n + 1);
    expect(said.some((text) => text.includes("not shipped: the spool had no room"))).toBe(true);
  });

  test("that was away while the agent ended gets from the next one what was left", async () => {
    await using host = new TestHost();
    await using lake = new LakeStandIn();
    let isAway = true;
    lake.fate = () => (isAway ? new Response("", { status: 503 }) : undefined);
    const mv = host.client({ poolDir: host.poolDir });
    for (const n of counted(100)) mv.log.info("a line", { n });
    const first = shipping(host, lake.url);
    await until("it was asked", () => lake.requests > 0);
    expect(await first.loop.stop(0)).toBe(100);
    expect(existsSync(join(host.folder, "spool/lock"))).toBe(true);
    isAway = false;
    const second = shipping(host, lake.url);
    await until("all has arrived", () => lake.numbers().length === 100);
    expect(lake.numbers()).toEqual(counted(100));
    expect(await second.loop.stop(1000)).toBe(0);
  });
});
