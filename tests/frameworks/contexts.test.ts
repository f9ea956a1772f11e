// Where Bun keeps the context of AsyncLocalStorage and where it loses it, which docs/frameworks.md has as a table. A line
// that fails here is one that Bun has changed: the page's line changes too, and maybe what the plugins have to do.

import { expect, test } from "bun:test";
import { AsyncLocalStorage } from "node:async_hooks";
import { lookup } from "node:dns/promises";
import { readFile, readFileSync } from "node:fs";
import { createServer, get } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { ROOT } from "../support/host.ts";

const storage = new AsyncLocalStorage<string>();
const HERE = "here";

/** Runs what ends with a call of `see`, and gives what the context was then. */
type Case = (see: () => void) => unknown;

/** Asks a server of Bun's for an answer that is made in the context, reads it and leaves. */
function answered(make: (see: () => void, request: Request) => unknown, leaves = false): Case {
  return async (see) => {
    const { promise: isAsked, resolve } = Promise.withResolvers<void>();
    // A server keeps the context that it was made in.
    const server = serveOutside({
      fetch: (request) => {
        resolve();
        return storage.run(HERE, () => make(see, request)) as Promise<Response>;
      },
      error: () => {
        see();
        return new Response("by error()");
      },
    });
    const left = new AbortController();
    const asked = fetch(server.url, { signal: left.signal });
    asked.catch(() => {});
    await isAsked;
    if (leaves) {
      left.abort();
      await asked.catch(() => {});
    } else {
      await (await asked).text();
    }
  };
}

function serveOutside(options: {
  fetch: (request: Request) => Promise<Response>;
  error: () => Response;
}) {
  return storage.exit(() =>
    Bun.serve({ hostname: "127.0.0.1", port: 0, development: false, ...options }),
  );
}

function channel(see: () => void): void {
  const { port1, port2 } = new MessageChannel();
  port2.onmessage = () => {
    see();
    port1.close();
  };
  port1.postMessage(1);
}

function broadcast(see: () => void): void {
  const [one, other] = [new BroadcastChannel("contexts"), new BroadcastChannel("contexts")];
  other.onmessage = () => {
    see();
    one.close();
    other.close();
  };
  one.postMessage(1);
}

function nodeHttp(see: () => void): void {
  const server = createServer((_, answer) => answer.end("fine")).listen(0, () => {
    get({ port: (server.address() as AddressInfo).port }, (answer) => {
      answer.resume().on("end", () => {
        see();
        server.close();
      });
    });
  });
}

function socket(see: () => void): void {
  const server = Bun.serve({
    port: 0,
    fetch: (request, self) => (self.upgrade(request) ? undefined : new Response("no")),
    websocket: { message: (ws, message) => void ws.send(message) },
  });
  const client = new WebSocket(server.url.href.replace("http", "ws"));
  client.onopen = () => client.send("x");
  client.onmessage = () => {
    see();
    client.close();
    void server.stop(true);
  };
}

/** By the words of the page. */
const LOST: Readonly<Record<string, Case>> = {
  "the body of an answer that is an async generator": answered(
    (see) =>
      new Response(async function* () {
        see();
        yield "a";
      } as never),
  ),
  '`pull` of a stream of `type: "direct"`': answered(
    (see) =>
      new Response(
        new ReadableStream({
          type: "direct",
          pull(controller: { close(): void }) {
            see();
            controller.close();
          },
        } as never),
      ),
  ),
  "`error()` of `Bun.serve`": answered(() => Promise.reject(new Error("broken"))),
  "`abort` of a request's signal": answered((see, { signal }) => {
    signal.addEventListener("abort", see);
    return new Promise(() => {});
  }, true),
  "messages of a `MessagePort`": channel,
  "messages of a `BroadcastChannel`": broadcast,
};

const KEPT: Readonly<Record<string, Case>> = {
  "`await`, timers, `queueMicrotask`, `process.nextTick`": async (see) => {
    await Bun.sleep(1);
    setTimeout(() => queueMicrotask(() => process.nextTick(see)), 1);
  },
  "`fetch`": async (see) => {
    const server = Bun.serve({ port: 0, fetch: () => new Response("fine") });
    await (await fetch(server.url)).text();
    see();
    void server.stop(true);
  },
  "`pull`, `start` and `cancel` of other streams": answered(
    (see) =>
      new Response(
        new ReadableStream({
          async pull(controller) {
            await Bun.sleep(1);
            see();
            controller.close();
          },
        }),
      ),
  ),
  "an async generator that is iterated where it was made": async (see) => {
    async function* values() {
      await Bun.sleep(1);
      see();
      yield 1;
    }
    for await (const _ of values());
  },
  "`Bun.file`, `node:fs`, `node:dns`": async (see) => {
    await Bun.file(import.meta.path).text();
    await lookup("localhost");
    readFile(import.meta.path, see);
  },
  "`Bun.spawn`": (see) => Bun.spawn(["true"], { onExit: see }),
  "`node:http`": nodeHttp,
  "`WebSocket`, as a client": socket,
};

async function contextAfter(run: Case): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  await storage.run(HERE, () => run(() => resolve(storage.getStore())));
  return promise;
}

test.each(Object.entries(LOST))("the context is lost in %s", async (_, run) => {
  expect(await contextAfter(run)).toBeUndefined();
});

test.each(Object.entries(KEPT))("the context is kept over %s", async (_, run) => {
  expect(await contextAfter(run)).toBe(HERE);
});

test("the page has the same table", () => {
  const page = readFileSync(join(ROOT, "docs/frameworks.md"), "utf8");
  const [, section = ""] = page.split("## Where contexts are lost\n");
  const rows = [...section.matchAll(/^\| (.+) \| (lost|kept) \|/gm)].map(([, what, how]) => [
    what,
    how,
  ]);
  expect(rows).toEqual([
    ...Object.keys(LOST).map((what) => [what, "lost"]),
    ...Object.keys(KEPT).map((what) => [what, "kept"]),
  ]);
});
