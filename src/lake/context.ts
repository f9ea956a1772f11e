// What the parts of a lake share, and what they are to each other. lake.ts makes the parts and hands this to them.

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

/** Makes views out of blocks, merges their files, and drops what is too old. */
export interface Maintenance {
  /** Called when there are new blocks. */
  wake(): void;
  /** Ends after what is under way. */
  stop(): Promise<void>;
}
