// What a segment's blocks say of themselves, as rows of the catalogue. Nothing of it is trusted, and nothing is unpacked.

import {
  BLOCK_ROWS_MAX,
  type BlockHeader,
  decodeBlockHeader,
  decodeSegment,
  UnknownFormatError,
} from "../../layout/index.ts";
import type { NewSegment, ProcessRow } from "../catalogue/index.ts";
import { DAY_NS } from "../times.ts";

/** A block over more days is damaged, and would be written to a file for each of them. */
const BLOCK_DAYS_MAX = 400n;
/** Each is a row of the catalogue, in one transaction; agents send some hundred at a time. */
export const SEGMENT_BLOCKS_MAX = 1 << 14;

/** With the applications of all blocks: one process may have several. */
export interface ReadSegment extends NewSegment {
  apps: ReadonlySet<string>;
}

/** A segment that is not stored: why, in words for its sender. */
export class SegmentError extends Error {
  override readonly name = "SegmentError";

  /** It may be sound: another version knows. */
  get isUnknown(): boolean {
    return this.cause instanceof UnknownFormatError;
  }
}

/**
 * @param blob the key under which its bytes will lie
 * @throws SegmentError naming the block and what is wrong with it
 */
export function segmentOf(segmentId: string, blob: string, bytes: Uint8Array): ReadSegment {
  const apps = new Set<string>();
  const processes = new Map<string, ProcessRow>();
  const streams = new Map<string, NewSegment["streams"][number]>();
  const blocks = new Map<string, NewSegment["blocks"][number]>();
  const frames = framesOf(bytes);
  if (frames.length > SEGMENT_BLOCKS_MAX)
    throw new SegmentError(`it has ${frames.length} blocks, more than ${SEGMENT_BLOCKS_MAX}`);
  for (const { offset, block } of frames) {
    const header = headerOf(block, offset);
    const { stream, process, blockId } = header;
    const { app, processId } = process;
    // Ids belong to applications: a process may have several, and another's may be said to be one's own.
    const keyOf = (id: string) => `${id} ${app}`;
    apps.add(app);
    if (!processes.has(keyOf(processId))) processes.set(keyOf(processId), processRow(header));
    if ((streams.get(keyOf(stream.streamId))?.processId ?? processId) !== processId)
      throw new SegmentError(`stream ${stream.streamId} is of two processes`);
    streams.set(keyOf(stream.streamId), {
      ...{ streamId: stream.streamId, processId, app },
      threadId: stream.threadId,
      startNs: BigInt(stream.startNs),
    });
    if (blocks.has(keyOf(blockId)))
      throw new SegmentError(`block ${blockId} is in the segment twice`);
    blocks.set(keyOf(blockId), blockRow(header, offset, block.length));
  }
  return {
    ...{ segmentId, blob, bytes: bytes.length, apps },
    processes: [...processes.values()],
    streams: [...streams.values()],
    blocks: [...blocks.values()],
  };
}

function framesOf(bytes: Uint8Array): ReturnType<typeof decodeSegment> {
  try {
    return decodeSegment(bytes);
  } catch (error) {
    throw new SegmentError((error as Error).message, { cause: error });
  }
}

function headerOf(block: Uint8Array, offset: number): BlockHeader {
  let header: BlockHeader;
  try {
    header = decodeBlockHeader(block);
  } catch (error) {
    throw new SegmentError(`the block at byte ${offset}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  const begin = BigInt(header.beginNs);
  const end = BigInt(header.endNs);
  if (begin < 0n || end < begin || end - begin > BLOCK_DAYS_MAX * DAY_NS)
    throw new SegmentError(`block ${header.blockId} says that it is from ${begin} to ${end} ns`);
  const { logs, measures, spans, opens, closes } = header.rows;
  const rows = logs + measures + spans + opens + closes;
  if (rows > BLOCK_ROWS_MAX)
    throw new SegmentError(
      `block ${header.blockId} says that it has ${rows} rows, more than ${BLOCK_ROWS_MAX}`,
    );
  return header;
}

function processRow({ process }: BlockHeader): ProcessRow {
  const { processId, app, service, pid, startNs, host, user, exe, runtime, ...rest } = process;
  const { properties = {}, container, pod, namespace, image } = rest;
  const where = { container, pod, namespace, image };
  return {
    ...{ processId, app, service, pid, host, user, exe, runtime, startNs: BigInt(startNs) },
    properties: {
      ...properties,
      ...Object.fromEntries(
        Object.entries(where).flatMap(([key, value]) =>
          value === undefined ? [] : [[key, value]],
        ),
      ),
    },
  };
}

function blockRow(
  header: BlockHeader,
  blobOffset: number,
  blobBytes: number,
): NewSegment["blocks"][number] {
  const { rows, stream, process } = header;
  const isMetrics = stream.kind === "metrics";
  return {
    ...{ blockId: header.blockId, streamId: stream.streamId, processId: process.processId },
    app: process.app,
    ...{ blobOffset, blobBytes, firstWord: header.first, endWord: header.end },
    ...{ beginNs: BigInt(header.beginNs), endNs: BigInt(header.endNs), isFinal: header.isFinal },
    ...{ logs: rows.logs, spans: rows.spans, opens: rows.opens, closes: rows.closes },
    // Points of metrics are rows of measures in a block, and have a table of their own.
    ...(isMetrics
      ? { measures: 0, metrics: rows.measures }
      : { measures: rows.measures, metrics: 0 }),
  };
}
