// REST for RDMA: what there is, and setting queue pairs up. Also the WebSocket by which a collector holds them.

import { Elysia, t } from "elysia";
import { RDMA_SESSION_PATH } from "../../calling/index.ts";
import { type Grant, grantOf, needs } from "../../guard/index.ts";
import type { RdmaResponse, RdmaSessionMessage } from "../../rest/index.ts";
import { AgentError } from "../errors.ts";
import type { Rdma, Session } from "../rdma/rdma.ts";
import { GrantedPools } from "../registry/granted-pools.ts";
import type { Pools } from "../registry/pools.ts";
import type { Contract } from "./contract.ts";

/** A collector that has vanished without closing its connection is noticed after at most twice so long. */
const SESSION_TIMEOUT_S = 8;

const OFF = "it runs with --rdma off";

const PairParams = t.Object({ id: t.Integer({ minimum: 1 }) });

/** Turns a request into a WebSocket, if it is one that can be. */
export type Upgrade = (request: Request, data: SocketData) => boolean;

/** @param rdma undefined when the agent was started without it */
export function rdmaRoutes(
  rdma: Rdma | undefined,
  pools: Pools,
  contract: Contract,
  upgrade: Upgrade,
) {
  const granted = (request: Request) => new GrantedPools(pools, grantOf(request));
  return new Elysia({ normalize: false })
    .get("/v1/rdma", ({ request }) => describe(rdma, granted(request)), {
      ...contract("GET /v1/rdma"),
      detail: { summary: "How pools are read by RDMA, and which", ...needs("read") },
    })
    .get(RDMA_SESSION_PATH, ({ request }) => openSession(served(rdma), request, upgrade), {
      detail: {
        summary: "A WebSocket that holds queue pairs: they end when it does",
        ...needs("read"),
      },
    })
    .get(
      "/v1/rdma/queue-pairs",
      ({ request }) => (rdma === undefined ? [] : listPairs(rdma, grantOf(request))),
      {
        ...contract("GET /v1/rdma/queue-pairs"),
        detail: { summary: "Queue pairs of the caller's token", ...needs("read") },
      },
    )
    .post(
      "/v1/rdma/queue-pairs",
      ({ request, body }) => {
        const application = granted(request).get(body.app);
        return served(rdma).connect(application, grantOf(request), body);
      },
      {
        ...contract("POST /v1/rdma/queue-pairs"),
        detail: {
          summary: "Connect a queue pair that may read one application's pool",
          ...needs("read"),
        },
      },
    )
    .post(
      "/v1/rdma/queue-pairs/:id/regions",
      ({ request, params }) => served(rdma).regions(params.id, grantOf(request)),
      {
        ...contract("POST /v1/rdma/queue-pairs/:id/regions"),
        params: PairParams,
        detail: {
          summary: "What the queue pair may read by now; asked when a pool has grown",
          ...needs("read"),
        },
      },
    )
    .delete(
      "/v1/rdma/queue-pairs/:id",
      ({ request, params }) => {
        served(rdma).disconnect(params.id, grantOf(request));
        return { disconnected: params.id };
      },
      {
        ...contract("DELETE /v1/rdma/queue-pairs/:id"),
        params: PairParams,
        detail: { summary: "Disconnect a queue pair", ...needs("read") },
      },
    );
}

function describe(rdma: Rdma | undefined, pools: GrantedPools): RdmaResponse {
  const pairs = rdma?.pairsOf(pools.grant) ?? [];
  const domains = new Set(pairs.map(({ domain }) => domain));
  return {
    endpoint: rdma?.endpoint ?? null,
    reason: rdma?.endpoint === undefined ? (rdma?.reason ?? OFF) : null,
    pools: [...pools].map(({ name, pool: { header } }) => ({
      // A pool keeps its id as long as it is the same pool.
      id: header.poolId,
      app: name,
      poolId: header.poolId,
      fileBytes: header.fileBytes,
    })),
    queuePairs: pairs.length,
    pinnedBytes: [...domains].reduce((sum, { registered }) => sum + registered.pinnedBytes, 0),
  };
}

function listPairs(rdma: Rdma, grant: Grant) {
  return rdma
    .pairsOf(grant)
    .map(({ id, session, domain, queuePair, remoteNumber, openedAtMs }) => ({
      id,
      token: session.grant.name,
      app: domain.registered.pool.app,
      number: queuePair.number,
      remoteNumber,
      openedAt: new Date(openedAtMs).toISOString(),
      regions: domain.registered.regionCount,
      pinnedBytes: domain.registered.pinnedBytes,
    }));
}

/** @throws AgentError when there is no RDMA, or the request is not that for a WebSocket */
function openSession(rdma: Rdma, request: Request, upgrade: Upgrade): void {
  const session = rdma.openSession(grantOf(request));
  if (upgrade(request, { session })) return;
  rdma.closeSession(session);
  throw new AgentError(
    "not-a-websocket",
    `${RDMA_SESSION_PATH} is a WebSocket`,
    "ask for an upgrade; it is open as long as its queue pairs are needed",
    426,
  );
}

/** @throws AgentError when this agent was started without RDMA */
function served(rdma: Rdma | undefined): Rdma {
  if (rdma !== undefined) return rdma;
  throw new AgentError("no-rdma", `this agent does not serve RDMA: ${OFF}`, "read over TCP", 503);
}

/** What a WebSocket of the agent carries along. */
export interface SocketData {
  session: Session;
}

/** The handlers of session WebSockets; they say nothing but the session's name, and end it with their connection. */
export function sessionSockets(rdma: () => Rdma | undefined): Bun.WebSocketHandler<SocketData> {
  return {
    idleTimeout: SESSION_TIMEOUT_S,
    sendPings: true,
    maxPayloadLength: 1024,
    open(socket) {
      socket.data.session.end = () => socket.close();
      const message: RdmaSessionMessage = { session: socket.data.session.id };
      socket.send(JSON.stringify(message));
    },
    message() {},
    close(socket) {
      rdma()?.closeSession(socket.data.session);
    },
  };
}
