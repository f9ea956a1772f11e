// The views: files made out of blocks, and the tables that queries see of them. For the rest of the lake.

export { FileThread, FileThreadError } from "./file-thread.ts";
export { FILE_VIEWS, type FileView } from "./files.ts";
export { LakeTables, type OpenedTables, PinnedFiles } from "./lake-tables.ts";
export { Materializer, ViewFailedError } from "./materializer.ts";
export { UNFINISHED, VIEWS } from "./parquet-writer.ts";
