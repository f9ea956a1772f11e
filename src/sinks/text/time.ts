// Times as sinks write them.

/** RFC 3339 in UTC with microseconds: at a thousand reads per second a millisecond is too coarse. */
export function rfc3339(unixMs: number): string {
  const wholeUs = Math.round(unixMs * 1000);
  const micros = String(((wholeUs % 1000) + 1000) % 1000).padStart(3, "0");
  return new Date(Math.floor(wholeUs / 1000)).toISOString().replace("Z", `${micros}Z`);
}

/** `12:03:04` in local time. */
export function clockTime(unixMs: number): string {
  const date = new Date(unixMs);
  return [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((part) => String(part).padStart(2, "0"))
    .join(":");
}
