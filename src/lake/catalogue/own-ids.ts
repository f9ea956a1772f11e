// Ids of processes and streams belong to the application that has brought them first. Another one that brings the same has
// ids of its own: a caller that may bring events of one application could take the place of another's otherwise, for these ids
// are no secrets on a host. Used by the catalogue for each segment.

import type { SQL } from "bun";
import type { NewSegment, Raw } from "./rows.ts";

/** No id that is sent has one. */
const MARK = "~";

interface OwnSegment {
  segment: NewSegment;
  /** Ids that an application was given in place of others that were another's. */
  given: readonly string[];
}

/** The segment by the ids that its applications have in the catalogue. */
export async function withOwnIds(tx: SQL, segment: NewSegment): Promise<OwnSegment> {
  const { processes, streams, blocks } = segment;
  const ofProcesses = new Ids(processes.map(({ app, processId }) => [app, processId]));
  const ofStreams = new Ids(streams.map(({ app, streamId }) => [app, streamId]));
  for (const part of partsOf(ofProcesses.candidates)) {
    ofProcesses.know(
      await tx`SELECT process_id AS id, app FROM processes WHERE process_id IN ${tx(part)}`,
    );
  }
  for (const part of partsOf(ofStreams.candidates)) {
    ofStreams.know(
      await tx`SELECT s.stream_id AS id, p.app FROM streams s
        JOIN processes p ON p.process_id = s.process_id WHERE s.stream_id IN ${tx(part)}`,
    );
  }
  const own = {
    ...segment,
    processes: processes.map((each) => ({
      ...each,
      processId: ofProcesses.own(each.app, each.processId),
    })),
    streams: streams.map((each) => ({
      ...each,
      streamId: ofStreams.own(each.app, each.streamId),
      processId: ofProcesses.own(each.app, each.processId),
    })),
    blocks: blocks.map((each) => {
      const streamId = ofStreams.own(each.app, each.streamId);
      return {
        ...each,
        streamId,
        blockId: streamId + each.blockId.slice(each.streamId.length),
        processId: ofProcesses.own(each.app, each.processId),
      };
    }),
  };
  return { segment: own, given: [...ofProcesses.given, ...ofStreams.given] };
}

/** Whether an id of the catalogue is that of something sent, for the application that was not the first to send it. */
export function isOwnIdOf(own: string, sent: string): boolean {
  return own === sent || own.startsWith(`${sent}${MARK}`);
}

/** Ids of one kind, by application. */
class Ids {
  readonly candidates: readonly string[];
  readonly given: string[] = [];
  readonly #appOf = new Map<string, string>();

  constructor(pairs: readonly (readonly [app: string, id: string])[]) {
    this.candidates = [...new Set(pairs.flatMap(([app, id]) => [id, otherId(app, id)]))];
  }

  know(rows: readonly Raw[]): void {
    for (const { id, app } of rows) this.#appOf.set(String(id), String(app));
  }

  own(app: string, id: string): string {
    const other = otherId(app, id);
    // For good: the first one may be forgotten before it.
    if (this.#appOf.has(other)) return other;
    const owner = this.#appOf.get(id);
    if (owner === app) return id;
    const own = owner === undefined ? id : other;
    this.#appOf.set(own, app);
    if (own === other) this.given.push(other);
    return own;
  }
}

function otherId(app: string, id: string): string {
  const digest = new Bun.CryptoHasher("sha256").update(app).digest("hex");
  return `${id}${MARK}${digest.slice(0, 16)}`;
}

function* partsOf(ids: readonly string[]): Generator<string[]> {
  for (let at = 0; at < ids.length; at += 500) yield ids.slice(at, at + 500);
}
