// Recordings of what was collected: Parquet files, written while it is collected and read back as snapshots.
//
//   const recorder = await Recorder.open({ path, replace: false, blockMs: 10_000, onFailure });
//   recorder.write(snapshot);
//   const { samples, bytes } = await recorder.close();
//
//   using recording = await Recording.open(path);
//   for await (const snapshot of recording.snapshots({})) sink.write(snapshot);

export { bytesPerSample, Recorder, type RecorderOptions, RecordingError } from "./recorder.ts";
export { Recording } from "./recording.ts";
