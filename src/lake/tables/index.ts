// The tables: what queries see of the files of views and of the catalogue's rows, and which files they are reading. For the
// rest of the lake.

export { LakeTables } from "./lake-tables.ts";
export { PinnedFiles } from "./pinned-files.ts";
