// The views: files made out of blocks, and what their columns are. For the rest of the lake.

export { FileThread, FileThreadError } from "./file-thread.ts";
export { FILE_VIEWS, FILES, type FileView, spanName } from "./files.ts";
export { Materializer, ViewFailedError } from "./materializer.ts";
export { UNFINISHED, VIEWS } from "./parquet-writer.ts";
