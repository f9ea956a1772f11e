// Takes segments: the bytes become a blob, which outlives a power cut, then the catalogue gets their rows. Whoever was
// told that a segment is here may delete it. The same segment again changes nothing.

import { Buckets, CallError, type Grant, type Log, sharerOf } from "../../guard/index.ts";
import { BlobMissingError, type Blobs, BlobsFullError } from "../blobs/index.ts";
import {
  type AddedSegment,
  type Catalogue,
  CatalogueBusyError,
  CatalogueFullError,
  IdentityError,
} from "../catalogue/index.ts";
import type { LakeCounters } from "../counters.ts";
import type { Disk } from "./disk.ts";
import { type ReadSegment, SegmentError, segmentOf } from "./segment.ts";
import { UnderWay } from "./under-way.ts";

/** It becomes a file's name. */
const SEGMENT_ID = /^[0-9a-f]{32}$/;
/** What may be in memory at once, in bytes of bodies. */
const UNDER_WAY_BYTES_MAX = 1 << 28;

/** There is no room now; the sender keeps what it has and tries again. */
export class LaterError extends CallError {
  override readonly name = "LaterError";
  override readonly headers: Readonly<Record<string, string>>;

  constructor(code: string, message: string, hint: string, status: number, retryAfterS: number) {
    super(code, message, hint, status);
    this.headers = { "retry-after": String(retryAfterS) };
  }
}

interface IngestionOptions {
  catalogue: Catalogue;
  blobs: Blobs;
  disk: Disk;
  counters: LakeCounters;
  /** Of all bodies that have arrived and are not stored yet, half of it of one caller. */
  underWayBytesMax?: number | undefined;
  log: Log;
  /** Called when there are new blocks. */
  added(): void;
}

export class Ingestion {
  readonly #options: IngestionOptions;
  /** Lines about what is lost, per second and at once. */
  readonly #losses = new Buckets(1, 10);
  readonly #underWay: UnderWay;

  constructor(options: IngestionOptions) {
    this.#options = options;
    const { underWayBytesMax = UNDER_WAY_BYTES_MAX } = options;
    this.#underWay = new UnderWay({
      bytesMax: underWayBytesMax,
      bytesOfCallerMax: underWayBytesMax / 2,
      refusal: () => this.#refused(busy()),
    });
  }

  /**
   * Stores a segment that a grant may bring.
   * @throws CallError 400 for what is damaged, 403 for applications that are not the caller's, 409 for other bytes under a
   *   known id, 501 for what only another version can take, 507 while the disk is full
   */
  async put(segmentId: string, bytes: Uint8Array, grant: Grant): Promise<AddedSegment> {
    const { catalogue, counters } = this.#options;
    if (!SEGMENT_ID.test(segmentId)) {
      throw this.#refused(
        new CallError(
          "invalid-segment-id",
          "the segment's id is not 32 hex digits in lower case",
          "give each segment an id of 16 random bytes",
        ),
      );
    }
    try {
      if (await catalogue.hasSegment(segmentId)) {
        counters.segmentsKnown++;
        return { isNew: false, blocks: 0, known: 0, conflicts: [], again: [], ownIds: [] };
      }
      return await this.#store(segmentId, bytes, grant);
    } catch (error) {
      if (error instanceof CallError) throw this.#refused(error, segmentId, grant);
      if (isFull(error)) throw this.#refused(diskFull());
      if (error instanceof CatalogueBusyError) throw this.#refused(catalogueBusy());
      if (error instanceof IdentityError) {
        throw this.#refused(
          new CallError(
            "identity-conflict",
            error.message,
            "ids of streams are random: nobody else's can be used",
            409,
          ),
          ...([segmentId, grant] as const),
        );
      }
      throw error;
    }
  }

  /** @throws CallError 403 for applications that are not the caller's */
  checkApps(apps: ReadonlySet<string>, grant: Grant): void {
    try {
      checkApps({ apps }, grant);
    } catch (error) {
      throw error instanceof CallError ? this.#refused(error) : error;
    }
  }

  /**
   * Reads the body of a request, while not too much is in memory.
   * @param use is made of it; the memory counts until that has ended
   * @throws CallError 503 while too much arrives at once
   */
  withBody<T>(request: Request, use: (body: Uint8Array) => Promise<T>): Promise<T> {
    return this.#underWay.withBody(request, sharerOf(request), use);
  }

  async #store(segmentId: string, bytes: Uint8Array, grant: Grant): Promise<AddedSegment> {
    const { catalogue, blobs, disk, counters, log, added: tell } = this.#options;
    const key = `${new Date().toISOString().slice(0, 10)}/${segmentId}`;
    const segment = this.#read(segmentId, key, bytes);
    checkApps(segment, grant);
    if (disk.isFull(bytes.length)) throw diskFull();
    // A lake that was killed has stored it, and told nobody.
    if (!(await blobs.putNew(key, bytes)) && !Bun.deepEquals(await blobs.get(key), bytes)) {
      throw new CallError(
        "segment-conflict",
        `segment ${segmentId} has come with other bytes before`,
        "give each segment an id of 16 random bytes",
        409,
      );
    }
    const added = await catalogue.addSegment(segment);
    if (added.isNew) {
      const conflicts = [...added.conflicts, ...(await this.#changed(added, bytes))];
      counters.stored(segment, { ...added, conflicts });
      const whose = { segment: segmentId, by: grant.name };
      if (conflicts.length > 0 && this.#losses.take("")) {
        log.warn("blocks came again with another end or other rows: the first ones stay", {
          ...{ ...whose, blocks: conflicts.slice(0, 10) },
        });
      }
      if (added.ownIds.length > 0 && this.#losses.take("")) {
        log.warn("ids of another application came: they are kept apart under ids of their own", {
          ...{ ...whose, ids: added.ownIds.slice(0, 10) },
        });
      }
      tell();
    } else counters.segmentsKnown++;
    return added;
  }

  /** Blocks that have come again with other bytes. */
  async #changed({ again }: AddedSegment, sent: Uint8Array): Promise<string[]> {
    const { blobs } = this.#options;
    const changed: string[] = [];
    for (const { blockId, blob, blobOffset, blobBytes, sentOffset } of again) {
      const now = sent.subarray(sentOffset, sentOffset + blobBytes);
      try {
        const before = await blobs.get(blob, { offset: blobOffset, bytes: blobBytes });
        if (Buffer.compare(before, now) !== 0) changed.push(blockId);
      } catch (error) {
        if (!(error instanceof BlobMissingError)) throw error;
      }
    }
    return changed;
  }

  #read(segmentId: string, key: string, bytes: Uint8Array): ReadSegment {
    try {
      return segmentOf(segmentId, key, bytes);
    } catch (error) {
      if (!(error instanceof SegmentError)) throw error;
      if (error.isUnknown) {
        throw new LaterError(
          "unknown-format",
          error.message,
          "the sender keeps it and tries again: upgrade the lake",
          501,
          60,
        );
      }
      throw new CallError(
        "damaged-segment",
        error.message,
        "it was damaged before it was sent, or on its way: sending it again changes nothing",
      );
    }
  }

  /** Counts it. What is not sent again is lost, and so logged. */
  #refused(error: CallError, segment?: string, grant?: Grant): CallError {
    const { counters, log } = this.#options;
    const { code, message, status } = error;
    counters.refused(code);
    const isLost = segment !== undefined && (status === 400 || status === 409);
    if (isLost && this.#losses.take("")) {
      log.warn("a segment was refused", { segment, by: grant?.name, code, reason: message });
    }
    return error;
  }
}

/** @throws CallError 403 */
function checkApps({ apps }: Pick<ReadSegment, "apps">, grant: Grant): void {
  const foreign = [...apps].find((app) => !grant.allows(app));
  if (foreign === undefined) return;
  throw new CallError(
    "foreign-app",
    `the token ${grant.name} may not bring events of application ${JSON.stringify(foreign.slice(0, 80))}`,
    "give its line in the lake's token file apps=… with that application, or no apps= for all",
    403,
  );
}

function busy(): CallError {
  return new LaterError(
    "lake-busy",
    "too much arrives at once",
    "send it again a little later",
    503,
    1,
  );
}

function diskFull(): CallError {
  return new LaterError(
    "disk-full",
    "the lake's disk is full",
    "the sender keeps it and tries again: make room",
    507,
    10,
  );
}

function catalogueBusy(): CallError {
  return new LaterError(
    "lake-busy",
    "another process has locked the lake's catalogue",
    "send it again a little later",
    503,
    10,
  );
}

function isFull(error: unknown): boolean {
  return error instanceof BlobsFullError || error instanceof CatalogueFullError;
}
