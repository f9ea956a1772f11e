// Text for people: what may be shown of what others have named, numbers as they are read, and words that were meant.

export { counted } from "./counted.ts";
export { nearest } from "./nearest.ts";
export {
  cutApart,
  cutText,
  fitLeft,
  fitRight,
  labelPairs,
  labelsText,
  printable,
  printableLines,
  safeJson,
  textWidth,
} from "./printable.ts";
export { formatBytes, formatCount, formatQuantity, formatSeconds } from "./quantity.ts";
export { NOTHING_FITS_ALL, type Unmatched, UnmatchedError, unmatched } from "./unmatched.ts";
