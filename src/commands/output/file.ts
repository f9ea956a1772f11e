// Opens the file of --out, whatever its format, and says what is wrong when it cannot be written.

import { CliError } from "../../command-line/index.ts";
import { FileSink } from "../../sinks/file/index.ts";
import type { Sink, SinkOptions } from "../../sinks/index.ts";
import type { OutFile } from "./flags.ts";

interface FileOptions extends Pick<SinkOptions, "perWriter"> {
  file: OutFile;
  replace: boolean;
  /** When a block of a recording is closed at the latest. */
  blockMs: number;
  /** Told when the file cannot be written on. */
  onFailure: (error: CliError) => void;
}

/** @throws CliError when the file cannot be made */
export async function openFile({ file, blockMs, ...rest }: FileOptions): Promise<Sink> {
  const { path, format, compression } = file;
  const options = {
    ...rest,
    path,
    onFailure: (error: WriteFailure) => rest.onFailure(failure(path, error)),
  };
  try {
    if (format !== "parquet") return new FileSink({ ...options, format, compression });
    const { Recorder } = await import("../../sinks/recording/index.ts");
    return await Recorder.open({ ...options, blockMs });
  } catch (error) {
    throw failure(path, error as WriteFailure);
  }
}

/** The system's error, or a recording's. */
interface WriteFailure {
  message: string;
  code?: string | undefined;
  isMissing?: boolean;
}

const REASONS: Readonly<Record<string, readonly [reason: string, hint?: string]>> = {
  EEXIST: ["it already exists", "choose another name, or use --force to replace it"],
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

function failure(path: string, error: WriteFailure): CliError {
  const { code, message } = error;
  const [reason = message, hint] = REASONS[code ?? ""] ?? [];
  // DuckDB that is missing says by itself what to do.
  const where = error.isMissing === true ? "--out" : `--out: cannot write ${path}`;
  return new CliError({ message: `${where}: ${reason}`, hint, cause: error });
}
