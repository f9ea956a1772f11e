// HTTP servers and clients, counted by one line of code. Services import each file by its own entry of package.json, e.g.
// `import { microview } from "microview/hono"`, so that the name is the same for every framework.

export { microview as forElysia } from "./elysia.ts";
export { type FetchOptions, microview as forFetch } from "./fetch.ts";
export { microview as forHono } from "./hono.ts";
export type { ServerOptions } from "./server.ts";
export { spanOf } from "./spans.ts";
