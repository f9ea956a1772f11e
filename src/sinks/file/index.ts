// Text in a file: what `collect --out run.ndjson.gz` writes.
//
//   const sink = new FileSink({ path, format: "ndjson", compression: "gzip", replace: false, onFailure });
//   sink.write(snapshot);
//   const { summary } = await sink.close();

export { FileSink } from "./file-sink.ts";
