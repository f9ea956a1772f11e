// The folder of the repository, for scripts and tests.

import { normalize } from "node:path";

/** Without a slash at its end. */
export const ROOT = normalize(`${import.meta.dir}/..`);
