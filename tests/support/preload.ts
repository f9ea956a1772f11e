// Runs before all tests, by bunfig.toml: tests must not write into an agent that happens to run on this machine.

import { NO_AGENT } from "./surroundings.ts";

const socket = process.env["MICROVIEW_SOCKET"];
if (socket !== NO_AGENT) {
  throw new Error(
    `the tests are not run with MICROVIEW_SOCKET=${socket}, for they would write into the agent there: unset it`,
  );
}
