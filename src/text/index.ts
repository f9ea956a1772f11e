// Text for people and by them: what may be shown of what others say, numbers as they are read, styles, patterns,
// and suggestions for misspelt words.

export { counted } from "./counted.ts";
export { globs } from "./globs.ts";
export { splitList } from "./list.ts";
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
export { PLAIN, type Style } from "./style.ts";
export { threadFault } from "./thread-fault.ts";
export { NOTHING_FITS_ALL, type Unmatched, UnmatchedError, unmatched } from "./unmatched.ts";
