// Lines of JSON or comma-separated values in a file, which may be compressed. `collect` and `replay` make one for
// --out, unless that is a recording.

import type { PoolSnapshot } from "../../layout/index.ts";
import { counted, formatBytes } from "../../text/index.ts";
import type { Sink, SinkEnd, SinkOptions } from "../sink.ts";
import { CsvSink } from "../text/csv.ts";
import { NdjsonSink } from "../text/ndjson.ts";
import type { TextSink } from "../text/text-sink.ts";
import { TextFile, type TextFileOptions } from "./text-file.ts";

const SINKS = { csv: CsvSink, ndjson: NdjsonSink } as const;

interface FileSinkOptions extends TextFileOptions, Pick<SinkOptions, "perWriter"> {
  format: keyof typeof SINKS;
}

export class FileSink implements Sink {
  /** A file takes what it is given, or fails. */
  readonly isBehind = false;
  readonly #file: TextFile;
  readonly #text: TextSink;
  #snapshots = 0;
  #end: Promise<SinkEnd> | undefined;

  /** @throws what {@link TextFile} throws */
  constructor(readonly options: FileSinkOptions) {
    this.#file = new TextFile(options);
    const { perWriter = false } = options;
    this.#text = new SINKS[options.format]({
      write: (text) => this.#file.write(text),
      perWriter,
    });
  }

  get isIdle(): boolean {
    return this.#file.isWritten;
  }

  write(snapshot: PoolSnapshot): void {
    this.#snapshots++;
    this.#text.write(snapshot);
  }

  gone(source: string, app?: string): void {
    this.#text.gone(source, app);
  }

  close(): Promise<SinkEnd> {
    this.#end ??= this.#close();
    return this.#end;
  }

  async #close(): Promise<SinkEnd> {
    await this.#text.close();
    this.#file.close();
    const { bytes, lost } = this.#file;
    return {
      summary: `${this.options.path}: ${counted(this.#snapshots, "snapshot")}, ${formatBytes(bytes)}`,
      undelivered: lost,
    };
  }
}
