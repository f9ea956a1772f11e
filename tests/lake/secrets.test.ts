// A secret that is passed to every call that records something is nowhere on its way to the lake: not in the ring, not in
// the spool, not in the lake's files and answers, and not in what agent and lake log.

import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { decodeBlock, readSegment } from "../../src/layout/index.ts";
import { allRowsOf, unzstd } from "../support/blocks.ts";
import { TestHost } from "../support/host.ts";
import { keptIn, LakeProcess } from "../support/lakes.ts";
import { CARD, passEverywhere, redactHook, SECRET } from "../support/planted.ts";
import { patience } from "../support/speed.ts";
import { until } from "../support/wait.ts";

setDefaultTimeout(patience(120_000));

const inside = (value: unknown) =>
  JSON.stringify(value, (_key, each) => (typeof each === "bigint" ? String(each) : each));

function expectNone(text: string): void {
  expect([text.includes(SECRET), text.includes(CARD)]).toEqual([false, false]);
}

function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile());
}

test("a secret of any call is nowhere in ring, spool, lake and logs", async () => {
  await using host = new TestHost();
  const spool = join(host.folder, "spool");
  const dir = join(host.folder, "lake");
  const first = await LakeProcess.start(host);
  const { url } = first;
  await first.end();
  const agent = await host.agentProcess("--lake", url, "--spool", spool);
  const mv = host.client({ poolDir: host.poolDir, events: { level: "trace", redactHook } });
  passEverywhere(mv);
  mv.log.info("the last line");
  const segments = () => filesBelow(spool).filter((path) => path.endsWith(".seg"));
  const spooled = () =>
    segments().flatMap((path) =>
      readSegment(readFileSync(path)).frames.map(({ block }) =>
        inside(allRowsOf(decodeBlock(block, unzstd))),
      ),
    );
  await until("all is in the spool", () => spooled().join("").includes("the last line"));
  for (const text of spooled()) expectNone(text);
  for (const path of [...filesBelow(host.poolDir), ...filesBelow(spool)]) {
    expectNone(readFileSync(path, "latin1"));
  }

  const lake = await LakeProcess.start(host, "--port", new URL(url).port);
  const told = await fetch(`${url}/v1/logs`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      resourceLogs: [
        {
          scopeLogs: [
            {
              logRecords: [
                {
                  body: { stringValue: "by OTLP" },
                  attributes: [{ key: "password", value: { stringValue: SECRET } }],
                },
              ],
            },
          ],
        },
      ],
    }),
  });
  expect(told.status).toBe(200);
  const ask = async (table: string) => {
    const sql = `select * from ${table}`;
    const answer = await fetch(`${url}/v1/query`, {
      method: "POST",
      body: JSON.stringify({ sql }),
    });
    return answer.text();
  };
  await until("all is in the lake", async () => {
    const logs = await ask("log_entries");
    return logs.includes("the last line") && logs.includes("by OTLP");
  });
  for (const table of ["log_entries", "measures", "spans", "async_events", "processes"]) {
    const rows = await ask(table);
    expect(rows).toContain('"end"');
    expectNone(rows);
  }
  await agent.end("SIGTERM");
  await lake.end("SIGTERM");
  expectNone(inside(await keptIn(dir)));
  for (const path of filesBelow(dir)) expectNone(readFileSync(path, "latin1"));
  for (const each of [first, lake, agent]) expectNone(inside(each.log) + each.stray);
});
