// Puts ours in prom-client's place for the whole program, libraries in node_modules included, whatever they import it by:
// `bun --preload microview/prom-client/preload service.ts`. prom-client need not be installed then.

import { plugin } from "bun";
import client from "./index.ts";

plugin({
  name: "microview/prom-client",
  setup(build) {
    build.module("prom-client", () => ({
      loader: "object",
      exports: { ...client, default: client },
    }));
  },
});
