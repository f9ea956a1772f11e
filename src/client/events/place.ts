// Where something was declared, taken once when it is: `file:line`.

/** What a definition may have of it. */
const PLACE_BYTES_MAX = 200;
const FRAME = /(?:\(|at )((?:file:\/\/)?\/[^()]*):(\d+):\d+\)?$/;

/**
 * The place that has called a function, which calls this one and does not return what it returns: a call in the place of
 * a return leaves no trace of its caller.
 * @returns "" where it is not known
 */
// biome-ignore lint/complexity/noBannedTypes: any function at all.
export function callerOf(called: Function): string {
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder, called);
  for (const line of (holder.stack ?? "").split("\n").slice(1)) {
    const [, path, row] = FRAME.exec(line) ?? [];
    if (path !== undefined) return shortened(`${path.replace("file://", "")}:${row}`);
  }
  return "";
}

function shortened(place: string): string {
  const folder = `${process.cwd()}/`;
  let text = place.startsWith(folder) ? place.slice(folder.length) : place;
  // The end of a path says more.
  text = text.slice(-PLACE_BYTES_MAX);
  while (Buffer.byteLength(text) > PLACE_BYTES_MAX) text = text.slice(1);
  return text.toWellFormed();
}
