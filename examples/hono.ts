// A Hono server whose requests are counted by route.

import { Hono } from "hono";
import { microview } from "microview/hono";

const app = new Hono();
app.use(microview({ app: "shop", service: "web" }));
app.get("/orders/:id", (c) => c.text(`order ${c.req.param("id")}\n`));

const server = Bun.serve({ port: process.env["PORT"] ?? 3000, fetch: app.fetch });
console.log(`try ${server.url}orders/7`);
