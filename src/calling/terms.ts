// Words of the REST contract that are needed at run time: callers of an agent send them, and agents look for them. The
// schemas of src/rest are made with them; callers load no schemas.

/** The header that carries a writer's secret. */
export const WRITER_SECRET_HEADER = "Microview-Secret";

/** The WebSocket that holds what a collector's RDMA session makes: its end ends them. */
export const RDMA_SESSION_PATH = "/v1/rdma/session";

/** Path MTUs of RDMA, in bytes (InfiniBand specification, volume 1, 9.5). */
export const PATH_MTUS_BYTES = [256, 512, 1024, 2048, 4096] as const;
export type PathMtuBytes = (typeof PATH_MTUS_BYTES)[number];

/**
 * What a token may do. `read`: lists, values, the data port, RDMA. `register`: writers and series. `admin`: what concerns
 * all of the agent. `ingest`: give a lake events. `events:read`: read logs, measures and spans, which `read` does not.
 * A scope of a new server is a word here.
 */
export const SCOPES = ["read", "register", "admin", "ingest", "events:read"] as const;
export type Scope = (typeof SCOPES)[number];
