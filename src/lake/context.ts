// What the parts of a lake share. lake.ts makes it; parts.ts hands it to them.

import type { Log } from "../guard/index.ts";
import type { Blobs } from "./blobs/index.ts";
import type { Catalogue } from "./catalogue/index.ts";
import type { LakeFolder } from "./folder.ts";

/** What all parts share. */
export interface LakeContext {
  folder: LakeFolder;
  catalogue: Catalogue;
  blobs: Blobs;
  log: Log;
  retention: Retention;
}

/** What is dropped, and when. Undefined: nothing for that reason. */
export interface Retention {
  ageMs: number | undefined;
  bytes: number | undefined;
}
