// A service that was written for prom-client. The import's name was changed, and one line is new.

import {
  Counter,
  collectDefaultMetrics,
  configure,
  Histogram,
  register,
} from "microview/prom-client";

// Nobody has to scrape this process any more: it asks itself for what only it can tell.
configure({ collectIntervalMs: 1_000 });
collectDefaultMetrics();
const orders = new Counter({
  name: "orders_total",
  help: "Orders by country.",
  labelNames: ["country"],
});
const amount = new Histogram({
  name: "order_amount_euros",
  help: "What orders cost.",
  buckets: [10, 100, 1000],
});

const server = Bun.serve({
  port: process.env["PORT"] ?? 3000,
  routes: {
    "/order/:country/:euros": ({ params }) => {
      orders.inc({ country: params.country });
      amount.observe(Number(params.euros));
      return new Response("thank you\n");
    },
    "/metrics": async () =>
      new Response(await register.metrics(), { headers: { "content-type": register.contentType } }),
  },
});
console.log(`try ${server.url}order/fr/25`);
