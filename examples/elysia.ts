// An Elysia server whose requests are counted by route, and its outgoing calls by host.

import { Elysia } from "elysia";
import { microview } from "microview/elysia";
import { microview as measured } from "microview/fetch";

const fetch = measured({ app: "shop", service: "web" });

const app = new Elysia()
  .use(microview({ app: "shop", service: "web" }))
  .get("/orders/:id", ({ params }) => `order ${params.id}\n`)
  .get("/twice/:id", async ({ params, request }) => {
    const answer = await fetch(new URL(`/orders/${params.id}`, request.url));
    return (await answer.text()).repeat(2);
  })
  .listen(process.env["PORT"] ?? 3000);
console.log(`try ${app.server!.url}twice/7`);
