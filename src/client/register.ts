// Records what ends a process: `import "microview/register"`, or `bun --preload microview/register service.ts`.

import { recordFaults } from "./faults.ts";

recordFaults();
