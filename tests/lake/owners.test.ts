// What somebody brings who may bring events of one application changes nothing of another's, also when they know its ids:
// these can be read in the names of files on any host.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { encodeSegment } from "../../src/layout/index.ts";
import { TestHost } from "../support/host.ts";
import { type Lake, lakeOf, logBlock } from "../support/lakes.ts";
import { patience } from "../support/speed.ts";
import { type MadeBlock, makeBlock, T0 } from "./views/blocks.ts";

setDefaultTimeout(patience(60_000));

const STREAM = { streamId: "00000000000000f1", threadId: 0, startNs: String(T0) };
const of = (app: string) => ({
  ...{ processId: "9".repeat(32), app, service: app, pid: 7, startNs: String(T0) },
  ...{ host: `${app}-host`, user: `${app}-user`, exe: "/x", runtime: "bun" },
});

/** A lake of two applications, with a token for each. */
async function sharedLake(host: TestHost) {
  const apps = ["shop", "evil"] as const;
  const scopes = ["ingest", "events:read", "read"] as const;
  const tokens = apps.map((app) => ({
    ...{ token: `token-of-the-application-${app}`, name: app, scopes: [...scopes], apps: [app] },
  }));
  const { lake, log } = await lakeOf(host, { tokens });
  const as = (app: string) => ({ authorization: `Bearer token-of-the-application-${app}` });
  return {
    lake,
    log,
    async put(app: string, ...blocks: (Uint8Array | MadeBlock)[]) {
      const bytes = blocks.map((each) => (each instanceof Uint8Array ? each : each.bytes));
      const id = crypto.randomUUID().replaceAll("-", "");
      const body = encodeSegment(bytes);
      const headers = as(app);
      return (await fetch(`${lake.url}/v1/segments/${id}`, { method: "PUT", body, headers }))
        .status;
    },
    async rows(app: string, sql: string): Promise<unknown[]> {
      const body = JSON.stringify({ sql });
      const headers = as(app);
      const answer = await fetch(`${lake.url}/v1/query`, { method: "POST", body, headers });
      const lines = (await answer.text()).trim().split("\n");
      return lines.slice(1, -1).map((line) => JSON.parse(line));
    },
  };
}

const OPENED = { spanId: 0xf1n, beginNs: T0 + 1n, name: "secret" };
const CLOSED = { spanId: 0xf1n, endNs: T0 + 9n, status: 1 };
const STATUS = "select status from spans";

/** Each with what another application does, before or after. */
const orders = [
  ["before", ["evil", "shop"]],
  ["after", ["shop", "evil"]],
] as const;

describe.each(orders)("another application that comes %s", (_, order) => {
  test("does not take the place of blocks, however long its own are", async () => {
    await using host = new TestHost();
    const { put, rows, log } = await sharedLake(host);
    const lengths = { shop: 4, evil: 50 };
    for (const app of order) {
      expect(await put(app, logBlock(lengths[app], { stream: STREAM, process: of(app) }))).toBe(
        201,
      );
    }
    expect(await rows("shop", "select app, count(*) from log_entries group by app")).toEqual([
      ["shop", 4],
    ]);
    expect(await rows("evil", "select app, count(*) from log_entries group by app")).toEqual([
      ["evil", 50],
    ]);
    expect(log.filter(({ message }) => message!.startsWith("ids of another"))).toHaveLength(1);
  });

  test("does not say who somebody's process is", async () => {
    await using host = new TestHost();
    const { put, rows } = await sharedLake(host);
    for (const app of order) await put(app, logBlock(1, { stream: STREAM, process: of(app) }));
    for (const app of ["shop", "evil"]) {
      const sql = `select p.app, p.user_name, p.host from log_entries l join processes p using (process_id)`;
      expect(await rows(app, sql)).toEqual([[app, `${app}-user`, `${app}-host`]]);
    }
  });

  test("gives a span no status", async () => {
    await using host = new TestHost();
    const { put, rows } = await sharedLake(host);
    const blocks = {
      shop: makeBlock({ opens: [OPENED] }, { stream: STREAM, process: of("shop") }),
      evil: makeBlock(
        { closes: [CLOSED] },
        { first: 50, end: 60, stream: STREAM, process: of("evil") },
      ),
    };
    for (const app of order) expect(await put(app, blocks[app])).toBe(201);
    expect(await rows("shop", STATUS)).toEqual([["open"]]);
    // Its own end does.
    const end = { first: 60, end: 70, stream: STREAM, process: of("shop") };
    await put("shop", makeBlock({ closes: [CLOSED] }, end));
    expect(await rows("shop", STATUS)).toEqual([["error"]]);
  });

  test("does not end a stream", async () => {
    await using host = new TestHost();
    const { put, rows } = await sharedLake(host);
    const blocks = {
      shop: makeBlock({ opens: [OPENED] }, { stream: STREAM, process: of("shop") }),
      evil: makeBlock(
        {},
        { first: 70, end: 70, isFinal: true, stream: STREAM, process: of("evil") },
      ),
    };
    for (const app of order) expect(await put(app, blocks[app])).toBe(201);
    expect(await rows("shop", STATUS)).toEqual([["open"]]);
  });
});

test("blocks of two applications under one id, in one segment, are both kept", async () => {
  await using host = new TestHost();
  const { lake }: { lake: Lake } = await lakeOf(host);
  const body = encodeSegment(
    ["shop", "evil"].map((app) => logBlock(3, { stream: STREAM, process: of(app) })),
  );
  const put = (id: string) => fetch(`${lake.url}/v1/segments/${id}`, { method: "PUT", body });
  expect(await (await put("1".repeat(32))).json()).toMatchObject({ blocks: 2, known: 0 });
  expect(await (await put("2".repeat(32))).json()).toMatchObject({ blocks: 2, known: 2 });
});

test("a block that comes again with other rows changes nothing, and is told", async () => {
  await using host = new TestHost();
  const { lake, log } = await lakeOf(host);
  const put = async (id: string, fromNs: bigint) => {
    const body = encodeSegment([logBlock(3, { stream: STREAM, process: of("shop") }, fromNs)]);
    return (await fetch(`${lake.url}/v1/segments/${id}`, { method: "PUT", body })).status;
  };
  expect(await put("1".repeat(32), T0)).toBe(201);
  expect(await put("2".repeat(32), T0)).toBe(201);
  const told = () => log.filter(({ message }) => message!.startsWith("blocks came again"));
  expect(told()).toHaveLength(0);
  expect(await put("3".repeat(32), T0 + 7n)).toBe(201);
  expect(told()).toHaveLength(1);
});
