// A lake is killed while it takes segments, again and again; its senders try each until it is taken, and send some blocks
// twice, as agents that were killed do. Every event is there, once. LAKE_KILLS makes it longer, LAKE_SEED repeats choices.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { encodeSegment } from "../../src/layout/index.ts";
import { Random, seedOf } from "../chaos/random.ts";
import { TestHost } from "../support/host.ts";
import { keptIn, LakeProcess, logBlock, newSegmentId } from "../support/lakes.ts";
import { patience } from "../support/speed.ts";

const KILLS = Number(process.env["LAKE_KILLS"] ?? 12);
const SEED = seedOf("LAKE_SEED");
const SENDERS = 3;
const BLOCK_ROWS = 50;
const BLOCKS_PER_SEGMENT = 3;

/** Sends segments of one stream, in order, until it is told to stop. @returns how many events were taken */
async function send(
  stream: number,
  url: () => string,
  random: Random,
  stop: AbortSignal,
): Promise<number> {
  const streamId = stream.toString(16).padStart(16, "0");
  let events = 0;
  let before: Uint8Array | undefined;
  while (!stop.aborted) {
    const blocks: Uint8Array[] = before !== undefined && random.between(0, 3) === 0 ? [before] : [];
    for (let i = 0; i < BLOCKS_PER_SEGMENT; i++) {
      blocks.push(logBlock(BLOCK_ROWS, { first: events, stream: { streamId } }));
      events += BLOCK_ROWS;
    }
    before = blocks.at(-1);
    await taken(newSegmentId(), encodeSegment(blocks), url);
  }
  return events;
}

/** Tries until the lake, or the next one, has it; no answer but that it is there ends it. */
async function taken(id: string, body: Uint8Array, url: () => string): Promise<void> {
  for (;;) {
    const answer = await fetch(`${url()}/v1/segments/${id}`, {
      ...{ method: "PUT", body, keepalive: false },
    }).catch(() => undefined);
    if (answer?.ok === true) return;
    if (answer !== undefined && answer.status < 500) throw new Error(await answer.text());
    await Bun.sleep(5);
  }
}

test(
  `every event that was taken is there once, however often the lake is killed (LAKE_SEED=${SEED})`,
  async () => {
    await using host = new TestHost();
    const random = new Random(SEED);
    let lake = await LakeProcess.start(host);
    const stop = new AbortController();
    const senders = Array.from({ length: SENDERS }, (_, i) =>
      send(i + 1, () => lake.url, random.branch(), stop.signal),
    );
    for (let kill = 0; kill < KILLS; kill++) {
      await Bun.sleep(random.between(5, 250));
      await lake.end("SIGKILL");
      lake = await LakeProcess.start(host);
    }
    stop.abort();
    const sent = await Promise.all(senders);
    // By SQL: files were made and merged meanwhile.
    const sql = `select count(*) as rows, count(distinct (stream_id, message)) as events from log_entries`;
    const answer = await fetch(`${lake.url}/v1/query`, {
      ...{ method: "POST", body: JSON.stringify({ sql }) },
    });
    const all = sent.reduce((sum, each) => sum + each, 0);
    expect((await answer.text()).split("\n")[1]).toBe(JSON.stringify([all, all]));
    expect(await lake.end("SIGTERM")).toBe(0);
    const { blocks, logs } = await keptIn(join(host.folder, "lake"));
    expect(blocks).toHaveLength(all / BLOCK_ROWS);
    const counts = new Map<unknown, number>();
    for (const { message } of logs) counts.set(message, (counts.get(message) ?? 0) + 1);
    // Number n was sent by each sender that came so far.
    for (let n = 0; n < Math.max(...sent); n++) {
      const expected = sent.filter((events) => n < events).length;
      if (counts.get(String(n)) !== expected)
        expect([n, counts.get(String(n))]).toEqual([n, expected]);
    }
    expect(counts.size).toBe(Math.max(...sent));
  },
  patience(120_000),
);
