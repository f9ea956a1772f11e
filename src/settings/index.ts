// What a person has set: files read whole, and the error about a file, an address or a variable that cannot be used.

export { SettingError } from "./setting-error.ts";
export { readPlainFile, readTextFile } from "./text-file.ts";
