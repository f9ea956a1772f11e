// The error about what a person has set and what cannot be used: a file, an address, a variable of the environment. The
// program ends with it as wrong usage; what is read again later is told in the log.

export class SettingError extends Error {
  override readonly name: string = "SettingError";

  /** @param hint what to do about it */
  constructor(
    message: string,
    readonly hint?: string,
  ) {
    super(message);
  }
}
