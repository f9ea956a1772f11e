// What went wrong with a question to a lake, for people: what was asked, what is wrong, what to do. Of SQL also where.

/** An error of a lake, or on the way to it. */
export class LakeError extends Error {
  override readonly name = "LakeError";

  /**
   * @param hint what to do about it
   * @param position of an error in SQL: how much of the text comes before it, in UTF-16 units
   */
  constructor(
    message: string,
    readonly hint?: string,
    readonly position?: number,
    readonly code?: string,
  ) {
    super(message);
  }
}

/** What an answer says of its error; anybody may have written it. */
export interface ToldError {
  code?: unknown;
  message?: unknown;
  hint?: unknown;
  position?: unknown;
}
