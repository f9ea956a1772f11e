// The file of --out, whatever its format.

import { CliError } from "../../command-line/index.ts";
import type { PoolSnapshot } from "../../layout/index.ts";
import {
  CsvSink,
  formatBytes,
  NdjsonSink,
  type Sink,
  type SinkOptions,
} from "../../sinks/index.ts";
import type { RecordingError } from "../../sinks/recording/index.ts";
import type { OutFile } from "./flags.ts";
import { TextFile } from "./text-file.ts";

/** Writes snapshots to a file. */
export interface Out {
  write(snapshot: PoolSnapshot): void;
  /** As many wait as may: a source that can wait should. */
  readonly isBehind: boolean;
  /** Completes the file. @returns what it has become, in a line */
  close(): Promise<string>;
}

interface OutOptions extends Pick<SinkOptions, "wanted" | "perWriter"> {
  file: OutFile;
  replace: boolean;
  /** When a block of a recording is closed at the latest. */
  blockMs: number;
  /** Told when the file cannot be written on. */
  onFailure: (error: CliError) => void;
}

/** @throws CliError when the file cannot be made */
export function openOut(options: OutOptions): Promise<Out> {
  return options.file.format === "parquet" ? openRecording(options) : openText(options);
}

async function openRecording(options: OutOptions): Promise<Out> {
  const { file, replace, blockMs, onFailure, wanted, perWriter = false } = options;
  const { path } = file;
  const { Recorder } = await import("../../sinks/recording/index.ts");
  try {
    const recorder = await Recorder.open({
      path,
      replace,
      perWriter,
      blockMs,
      onFailure: (error) => onFailure(failure(path, error)),
      ...(wanted === undefined ? {} : { wanted }),
    });
    return {
      write: (snapshot) => recorder.write(snapshot),
      get isBehind() {
        return recorder.isBehind;
      },
      async close() {
        const { summary } = await recorder.close();
        return summary;
      },
    };
  } catch (error) {
    throw failure(path, error as RecordingError);
  }
}

async function openText({
  file,
  replace,
  onFailure,
  wanted,
  perWriter = false,
}: OutOptions): Promise<Out> {
  const { path } = file;
  let text: TextFile;
  try {
    text = new TextFile(file, replace, (error) => onFailure(failure(path, error)));
  } catch (error) {
    throw failure(path, error as NodeJS.ErrnoException);
  }
  const common: SinkOptions = {
    write: (piece) => text.write(piece),
    perWriter,
    ...(wanted === undefined ? {} : { wanted }),
  };
  const sink: Sink = file.format === "csv" ? new CsvSink(common) : new NdjsonSink(common);
  let snapshots = 0;
  return {
    write(snapshot) {
      snapshots++;
      sink.write(snapshot);
    },
    isBehind: false,
    async close() {
      await sink.close(0);
      text.close();
      return `${path}: ${snapshots} snapshots, ${formatBytes(text.bytes)}`;
    },
  };
}

const REASONS: Readonly<Record<string, readonly [reason: string, hint?: string]>> = {
  EEXIST: ["it is there already", "choose another name, or say --force to replace it"],
  ENOENT: ["its folder does not exist"],
  ENOTDIR: ["a part of its path is no directory"],
  EISDIR: ["it is a directory"],
  EACCES: ["this user may not write there"],
  // A FIFO that nobody reads, or a socket.
  ENXIO: ["it is no plain file"],
  EROFS: ["its file system is read-only"],
  ENOSPC: [
    "the disk is full",
    "what was closed before is readable, by `microview replay` at least",
  ],
  EDQUOT: ["this user's quota is used up", "what was closed before is readable"],
};

function failure(
  path: string,
  error: { message: string; code?: string | undefined; isMissing?: boolean },
): CliError {
  const { code, message } = error;
  const [reason = message, hint] = REASONS[code ?? ""] ?? [];
  // DuckDB that is missing says by itself what to do.
  const where = error.isMissing === true ? "--out" : `--out: cannot write ${path}`;
  return new CliError({ message: `${where}: ${reason}`, hint, cause: error });
}
