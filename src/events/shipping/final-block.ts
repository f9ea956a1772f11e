// The last block of a ring: it says that nothing follows, and what was refused since the last record could say so.

import {
  blankCloses,
  blankLogs,
  blankMeasures,
  blankSpans,
  decodeBlockHeader,
  encodeBlock,
  LEVELS,
  type LogColumns,
  nsOfMs,
  type Refusals,
} from "../../layout/index.ts";
import type { MakeBlock } from "./ring-part.ts";

const MESSAGE = "events were refused, because the ring was full";

export const makeFinalBlock: MakeBlock = ({ ring, first, end, process, timeline }) => {
  const { ringId: streamId, threadId, start } = ring.header;
  // The last time that the ring says: any agent makes the same block again.
  const { unixMs, aheadNs } = timeline ?? { ...start, aheadNs: 0 };
  const startNs = String(nsOfMs(start.unixMs));
  const block = encodeBlock(
    {
      ...{ first, end, isFinal: true, process },
      stream: { streamId, threadId, startNs },
      ...(timeline === undefined ? {} : { timeline }),
    },
    {
      logs: logsOf(ring.reader.untold, nsOfMs(unixMs) + BigInt(Math.round(aheadNs))),
      measures: blankMeasures(),
      spans: blankSpans(),
      opens: blankSpans(),
      closes: blankCloses(),
    },
    (bytes) => Bun.zstdCompressSync(bytes as Uint8Array<ArrayBuffer>, { level: 1 }),
  );
  return { block, header: decodeBlockHeader(block) };
};

function logsOf(untold: Refusals, timeNs: bigint): LogColumns {
  if (Object.values(untold).every((count) => count === 0)) return blankLogs();
  const logs = blankLogs(1);
  logs.timeNs[0] = timeNs;
  logs.level[0] = LEVELS.indexOf("warn");
  logs.target = text("microview.gap");
  logs.message = text(MESSAGE);
  logs.properties = text(JSON.stringify(untold));
  return logs;
}

function text(value: string) {
  return { index: new Uint32Array(1), texts: [value] };
}
