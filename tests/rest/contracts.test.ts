// The contracts of src/rest: the agent's routes are served by them, and nobody else loads them.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { Elysia } from "elysia";
import { Bodies } from "../../src/agent/serve/bodies.ts";
import { contractOf } from "../../src/agent/serve/contract.ts";
import { createRoutes, type RoutesContext } from "../../src/agent/serve/routes.ts";
import {
  type Health,
  healthOf,
  PATH_MTUS_BYTES,
  RDMA_SESSION_PATH,
  requestLine,
  SCOPES,
  WRITER_SECRET_HEADER,
} from "../../src/calling/index.ts";
import {
  CALLS,
  type Call,
  type CallSchemas,
  type HealthResponse,
  TokenListing,
} from "../../src/rest/index.ts";
import { ROOT } from "../support/host.ts";

/** Routes that neither take nor answer JSON of ours. */
const OTHERS = [
  "GET /metrics",
  "GET /openapi",
  "GET /openapi/assets/start.js",
  "GET /openapi/assets/swagger-ui-bundle.js",
  "GET /openapi/assets/swagger-ui.css",
  "GET /openapi/json",
  "GET /v1/rdma/session",
];

const contract = contractOf(new Bodies(1 << 20, () => {}));

describe("a contract", () => {
  test("is what the route of its method and path takes and answers, and no route has another", () => {
    const { routes } = createRoutes({} as RoutesContext);
    const served = routes.map(({ method, path, hooks }) => [`${method} ${path}`, hooks] as const);
    const names = served.map(([name]) => String(name)).filter((name) => !OTHERS.includes(name));
    expect(names.sort()).toEqual(Object.keys(CALLS).sort());
    for (const [name, { body, query, response }] of served) {
      const stated: Partial<CallSchemas> = OTHERS.includes(name) ? {} : CALLS[name as Call];
      // The very same schemas: not some that say the same.
      expect([name, body === stated.body]).toEqual([name, true]);
      expect([name, query === stated.query]).toEqual([name, true]);
      expect([name, response === stated.response]).toEqual([name, true]);
    }
  });

  test("has a route that says in a few words what it is for", () => {
    const { routes } = createRoutes({} as RoutesContext);
    const silent = routes.filter(({ hooks }) => !hooks.detail?.summary);
    // Pages of the documentation are no part of it.
    const names = silent.map(({ method, path }) => `${method} ${path}`);
    expect(names.filter((name) => !name.startsWith("GET /openapi"))).toEqual([]);
  });

  test("of a body is held against what comes in", async () => {
    const routes = new Elysia().put("/lock", ({ body }) => body, {
      ...contract("PUT /v1/apps/:app/writers/:writer/lock"),
    });
    const put = (body: unknown) =>
      routes.handle(
        new Request("http://localhost/lock", {
          method: "PUT",
          headers: { "content-type": "application/json" },
          body: JSON.stringify(body),
        }),
      );
    expect((await put({ poolId: 7 })).status).toBe(200);
    expect((await put({ poolId: "7" })).status).not.toBe(200);
    expect((await put({ poolId: 7, more: 1 })).status).not.toBe(200);
  });

  test("of an answer costs nothing when it is sent", async () => {
    let looks = 0;
    const answer = {
      get detached() {
        looks++;
        return 1;
      },
    };
    const routes = new Elysia({ normalize: false }).delete("/", () => answer, {
      ...contract("DELETE /v1/apps/:app/writers/:writer"),
    });
    const response = await routes.handle(new Request("http://localhost/", { method: "DELETE" }));
    expect(await response.json()).toEqual({ detached: 1 });
    // When it is written, and not before.
    expect(looks).toBe(1);
  });

  test("of tokens names every scope", () => {
    const { items } = TokenListing.properties.scopes as unknown as {
      items: { anyOf: { const: string }[] };
    };
    expect(items.anyOf.map((scope) => scope.const)).toEqual([...SCOPES]);
  });
});

test("what programs import of this package brings no contract along, nor any other package", async () => {
  const { exports } = await Bun.file(join(ROOT, "package.json")).json();
  const entries = Object.values(exports as Record<string, string | { default: string }>).filter(
    (entry) => typeof entry === "object",
  );
  expect(entries.length).toBeGreaterThan(5);
  for (const { default: path } of entries) {
    const { metafile } = await Bun.build({
      entrypoints: [join(ROOT, path)],
      target: "bun",
      metafile: true,
    });
    const inputs = Object.keys(metafile!.inputs);
    expect(inputs.some((input) => input.endsWith(path.slice(2)))).toBe(true);
    expect(inputs.filter((input) => /node_modules|src\/rest\//.test(input))).toEqual([]);
  }
});

test("words that callers and agents share are spelled in one place", async () => {
  const spelled: string[] = [];
  for (const name of new Bun.Glob("src/**/*.ts").scanSync(ROOT)) {
    const source = await Bun.file(join(ROOT, name)).text();
    const words = [WRITER_SECRET_HEADER, RDMA_SESSION_PATH, PATH_MTUS_BYTES.slice(0, 3).join(", ")];
    for (const word of words) {
      if (source.toLowerCase().includes(word.toLowerCase())) spelled.push(`${name}: ${word}`);
    }
  }
  expect(spelled).toEqual([
    `src/calling/terms.ts: ${WRITER_SECRET_HEADER}`,
    `src/calling/terms.ts: ${RDMA_SESSION_PATH}`,
    "src/calling/terms.ts: 256, 512, 1024",
  ]);
});

test("what callers read of an agent's health is what the contract says of it", () => {
  const health = {
    status: "unhealthy",
    problems: [{ message: "no room", hint: "make some" }],
    ...{ version: "1.2.3", layoutVersion: 2, pid: 7, bootId: "b", uid: 5, dataPort: 7071 },
    poolDir: "/pools",
    pools: [
      { app: "shop", path: "/pools/shop/pool", poolId: 3 },
      { app: "bank", path: "/pools/bank/pool", poolId: 4, lost: "no room" },
    ],
  } satisfies Omit<HealthResponse, "uptimeS"> satisfies Health;
  expect(healthOf({ ...health, uptimeS: 1 })).toEqual(health);
});

test("what is no agent's health is read as none, and of one that is odd what can be read", () => {
  const least = { version: "1", layoutVersion: 2, pools: [null, 7, { app: "shop" }] };
  for (const other of [
    null,
    7,
    "healthy",
    [],
    {},
    { ...least, pools: 1 },
    { ...least, version: 1 },
  ]) {
    expect(healthOf(other)).toBeUndefined();
  }
  expect(healthOf({ ...least, problems: [null], pid: -1, uid: "root", poolDir: 5 })).toEqual({
    status: "unhealthy",
    problems: [{ message: "it gives no reason", hint: "see its log" }],
    ...{
      version: "1",
      layoutVersion: 2,
      pid: 0,
      bootId: "",
      dataPort: 0,
      poolDir: null,
      pools: [],
    },
  });
});

describe("where a call goes", () => {
  test("is its path with values in it, so that none of them can be another path", () => {
    const call = "PUT /v1/apps/:app/writers/:writer/lock";
    expect(requestLine(call, { app: "a/b ?", writer: 3 })).toEqual({
      method: "PUT",
      path: "/v1/apps/a%2Fb%20%3F/writers/3/lock",
    });
  });

  test("is not known while a value is missing", () => {
    expect(() => requestLine("GET /v1/apps/:app", {})).toThrow(
      "no app is given for the path of GET /v1/apps/:app",
    );
  });
});
