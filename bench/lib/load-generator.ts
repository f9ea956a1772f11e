// Sends requests at a constant rate, whether they are answered or not: an open loop, as the world outside is.
// What a stall of the service holds up is therefore seen in full.

import { offer, serveParent } from "./child.ts";
import type { Load, LoadResult } from "./impact.ts";
import { Spread } from "./samples.ts";

/** More requests than this are not left unanswered; what comes then counts as failed. */
const MAX_PENDING = 4000;
const TICK_MS = 1;
const TIMEOUT_MS = 10_000;
/** Of a flood. */
const CONNECTIONS = 16;

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  idleTimeout: 0,
  development: false,
  async fetch(request) {
    const query = new URL(request.url).searchParams;
    const read = (name: keyof Load) => Number(query.get(name));
    const load = { port: read("port"), ratePerS: read("ratePerS"), seconds: read("seconds") };
    const isFlood = new URL(request.url).pathname === "/flood";
    return Response.json(await (isFlood ? flood(load) : run(load)));
  },
});
offer({ port: server.port });
await serveParent();
process.exit(0);

/** As many as are answered by a few connections that ask again at once. */
async function flood({ port, seconds }: Load): Promise<LoadResult> {
  const startMs = performance.now();
  const latenciesUs: number[] = [];
  let failed = 0;
  const ask = async (connection: number) => {
    for (let id = connection; performance.now() - startMs < seconds * 1000; id += CONNECTIONS) {
      const sentMs = performance.now();
      const response = await fetch(`http://127.0.0.1:${port}/orders/${id}`);
      await response.arrayBuffer();
      if (response.ok) latenciesUs.push((performance.now() - sentMs) * 1000);
      else failed++;
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, (_, i) => ask(i)));
  return resultOf(latenciesUs, failed, startMs);
}

async function run({ port, ratePerS, seconds }: Load): Promise<LoadResult> {
  const total = Math.round(ratePerS * seconds);
  const latenciesUs: number[] = [];
  const pending = new Set<Promise<void>>();
  let sent = 0;
  let failed = 0;
  const send = async (id: number) => {
    const start = performance.now();
    try {
      const response = await fetch(`http://127.0.0.1:${port}/orders/${id}`, {
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      await response.arrayBuffer();
      if (!response.ok) throw new Error();
      latenciesUs.push((performance.now() - start) * 1000);
    } catch {
      failed++;
    }
  };
  const startMs = performance.now();
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const due = Math.min(total, Math.floor(((performance.now() - startMs) / 1000) * ratePerS));
      for (; sent < due; sent++) {
        if (pending.size >= MAX_PENDING) {
          failed++;
          continue;
        }
        const answer = send(sent).finally(() => pending.delete(answer));
        pending.add(answer);
      }
      if (sent < total) return;
      clearInterval(timer);
      resolve();
    }, TICK_MS);
  });
  await Promise.all(pending);
  return resultOf(latenciesUs, failed, startMs);
}

function resultOf(latenciesUs: readonly number[], failed: number, startMs: number): LoadResult {
  const spread = new Spread(latenciesUs);
  return {
    answered: latenciesUs.length,
    failed,
    seconds: (performance.now() - startMs) / 1000,
    p50Us: spread.median,
    p99Us: spread.quantile(0.99),
    maxUs: spread.max,
  };
}
