// A service that counts by microview's own client.

import { MicroView } from "microview";

const mv = new MicroView({ app: "shop", service: "auth" });
const logins = mv.counter("logins_total", { help: "Logins by outcome.", labels: ["outcome"] });
const duration = mv.histogram("login_duration_seconds", { unit: "seconds" });

// Kept children: their calls look nothing up.
const ok = logins.labels("ok");
const failed = logins.labels("failed");

const server = Bun.serve({
  port: process.env["PORT"] ?? 3000,
  routes: {
    "/login/:user": ({ params }) => {
      const done = duration.startTimer();
      const known = params.user !== "mallory";
      (known ? ok : failed).inc();
      done();
      return new Response(known ? "welcome\n" : "who?\n", { status: known ? 200 : 401 });
    },
  },
});
console.log(`try ${server.url}login/alice`);
