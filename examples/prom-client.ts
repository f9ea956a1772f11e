// A service that was written for prom-client. Only the import's name was changed.

import { Counter, collectDefaultMetrics, Histogram, register } from "microview/prom-client";

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
