// An agent's answers are looked at before memory is mapped by them: a service stores nowhere but in pages of its pool.

import { expect, test } from "bun:test";
import { AgentApi } from "../../src/client/agent-api.ts";
import { Attachment } from "../../src/client/attachment.ts";
import type { AttachResponse, Extent } from "../../src/rest/index.ts";
import { TestHost } from "../support/host.ts";
import { until } from "../support/wait.ts";

/** What a true agent answers, and how to open what is made of it. */
async function attached(host: TestHost) {
  await host.agent();
  const api = new AgentApi(host.socketPath, "shop");
  const answer = await api.attach({ service: "auth", pid: process.pid, threadId: 0 });
  const open = (changed: Partial<AttachResponse>) =>
    Attachment.open({ ...answer, ...changed }, "shop", host.poolDir);
  return { answer, open };
}

test("pages that the pool does not have are not mapped", async () => {
  await using host = new TestHost();
  const { answer, open } = await attached(host);
  const [extent] = answer.extents as [Extent];
  for (const changed of [
    { page: 65_536 },
    { page: 2 ** 40 },
    { pages: 1e6 },
    { pages: 0 },
    { page: -1 },
    { page: Number.NaN },
    { page: "0x" as never, pages: null as never },
  ]) {
    expect(() => open({ extents: [{ ...extent, ...changed }] })).toThrow("does not have");
  }
  const attachment = open({})!;
  for (const slot of [-1, 504, 1e12, Number.NaN]) {
    expect(() => attachment.placeOf(extent.page, slot)).toThrow("was not handed");
  }
  expect(attachment.placeOf(extent.page, 503).at).toBeGreaterThan(0);
  attachment.close();
});

test("only pages are mapped as pages: the header and the directory belong to no writer", async () => {
  await using host = new TestHost();
  const { answer, open } = await attached(host);
  for (const pagesOffset of [0, 4096, answer.pool.pagesOffset - 4096, 2 ** 53]) {
    expect(() => open({ pool: { ...answer.pool, pagesOffset } })).toThrow("is not the pool");
  }
});

test("an answer that is nested without end is refused, and costs nothing", async () => {
  await using host = new TestHost();
  const server = Bun.serve({
    unix: host.socketPath,
    fetch: () => new Response("[".repeat(8 << 20)),
  });
  const api = new AgentApi(host.socketPath, "shop");
  const call = api.attach({ service: "auth", pid: process.pid, threadId: 0 });
  await expect(call).rejects.toThrow("nested more than 16 levels");
  void server.stop(true);
});

test("a warning has no words of an agent's that a terminal would act upon", async () => {
  await using host = new TestHost();
  const evil = `\u001b[31mred\u001b]0;title\u0007\nmicroview: all is well${"x".repeat(5000)}`;
  const server = Bun.serve({
    unix: host.socketPath,
    fetch: () => Response.json({ code: evil, message: evil, hint: evil }, { status: 403 }),
  });
  const mv = host.client();
  mv.counter("requests_total");
  const warning = await until("the service is told", () => host.warnings[0]);
  for (const words of Object.values(warning)) {
    expect(words).toContain("[31mred");
    expect(words).not.toMatch(/\p{Cc}/u);
    expect(words.length).toBeLessThan(1500);
  }
  await mv.close();
  void server.stop(true);
});
