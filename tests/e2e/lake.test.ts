// The built program as a lake: what is in it only there, such as the messages of OTLP and the threads that write Parquet.

import { expect, setDefaultTimeout, test } from "bun:test";
import { TestHost } from "../support/host.ts";
import { LakeProcess, logBlock, newSegmentId, putSegment } from "../support/lakes.ts";
import { patience } from "../support/speed.ts";
import { until } from "../support/wait.ts";
import { builtProgram, Program } from "./program.ts";

setDefaultTimeout(patience(120_000));

const LOGS = {
  resourceLogs: [
    {
      resource: { attributes: [{ key: "service.name", value: { stringValue: "cart" } }] },
      scopeLogs: [
        {
          logRecords: [{ timeUnixNano: "1796083200000000000", body: { stringValue: "by OTLP" } }],
        },
      ],
    },
  ],
};

test("the binary takes blocks and OTLP, makes files of them, answers SQL, and ends", async () => {
  await using host = new TestHost([builtProgram()]);
  const lake = await LakeProcess.start(host);
  expect((await putSegment(lake.url, newSegmentId(), [logBlock(10)])).status).toBe(201);
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify(LOGS);
  const otlp = await fetch(`${lake.url}/v1/logs`, { method: "POST", headers, body });
  expect(otlp.status).toBe(200);
  const sql = "select service, count(*) as n from log_entries group by all order by service";
  const words = ["query", sql, "--from", "2026-11-30", "--to", "2026-12-02", "--lake", lake.url];
  const { stdout, stderr, exitCode } = await new Program(host, words, {
    cwd: host.folder,
  }).ended();
  expect([exitCode, stderr]).toEqual([0, ""]);
  expect(stdout).toBe('{"service":"auth","n":10}\n{"service":"cart","n":1}\n');
  await until("files are made", async () => {
    const text = await (await fetch(`${lake.url}/metrics`)).text();
    return text.includes('microview_lake_view_rows{view="log_entries"} 11\n');
  });
  expect(await lake.end("SIGTERM")).toBe(0);
});
