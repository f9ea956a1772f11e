// Runs before all tests, by bunfig.toml: tests must not write into an agent that happens to run on this machine, and
// what they load has to be built.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../scripts/root.ts";
import { NO_AGENT } from "./surroundings.ts";

if (!existsSync(join(ROOT, "build/shim.base64"))) {
  throw new Error("the native part is not built: run `make setup shim mock` first");
}

const socket = process.env["MICROVIEW_SOCKET"];
if (socket !== NO_AGENT) {
  throw new Error(
    `the tests are not run with MICROVIEW_SOCKET=${socket}, for they would write into the agent there: unset it`,
  );
}
