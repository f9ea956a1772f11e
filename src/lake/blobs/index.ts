// The blob store, for the rest of the lake.

export { BlobMissingError, type BlobRange, type Blobs, BlobsFullError } from "./blobs.ts";
export { FolderBlobs } from "./folder.ts";
