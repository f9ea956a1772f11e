// A service to try an installation with: `curl localhost:3000/hello/you` a few times, then look at the agent.

import { Elysia } from "elysia";
import { microview } from "microview/elysia";

const app = new Elysia()
  .use(microview({ app: "shop", service: "hello" }))
  .get("/hello/:name", ({ params }) => `hello, ${params.name}`)
  .listen(Number(process.env["PORT"] ?? 3000));

process.on("SIGTERM", () => void app.stop().then(() => process.exit(0)));
