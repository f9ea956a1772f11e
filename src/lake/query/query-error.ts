// Why a query got no answer, in a person's words and with the place in its text. Made by the query process and by the
// runner; travels between them as JSON, and to the caller as the body of an HTTP error or the last line of NDJSON.

/** A place in the text of a query, counted in characters (Unicode code points). */
export interface Place {
  /** Characters before it. */
  position: number;
  /** From 1. */
  line: number;
  /** From 1. */
  column: number;
}

export interface QueryErrorBody extends Partial<Place> {
  code: string;
  message: string;
  hint: string;
}

export class QueryError extends Error {
  override readonly name = "QueryError";

  constructor(
    readonly code: string,
    message: string,
    readonly hint: string,
    /** Of HTTP, as long as nothing of an answer has been sent. */
    readonly status = 400,
    readonly place?: Place,
  ) {
    super(message);
  }

  /** As JSON, for another process. */
  get written(): string {
    const { code, message, hint, status, place } = this;
    return JSON.stringify({ code, message, hint, status, place });
  }

  static read(text: string): QueryError {
    const { code, message, hint, status, place } = JSON.parse(text) as QueryError;
    return new QueryError(code, message, hint, status, place);
  }

  get body(): QueryErrorBody {
    const { code, message, hint, place } = this;
    return { code, message, hint, ...place };
  }
}

/** @param offset in UTF-16 units */
export function placeOf(sql: string, offset: number): Place {
  const lines = sql.slice(0, offset).split("\n");
  const position = charactersOf(sql.slice(0, offset));
  return { position, line: lines.length, column: charactersOf(lines.at(-1)!) + 1 };
}

function charactersOf(text: string): number {
  return Array.from(text).length;
}

/** Where a number of bytes of UTF-8 ends, in UTF-16 units: DuckDB's parsed tree counts bytes. */
export function offsetOfBytes(sql: string, bytes: number): number {
  return Buffer.from(sql, "utf8").subarray(0, bytes).toString("utf8").length;
}

/** Where a number of characters ends, in UTF-16 units: DuckDB's parser counts characters in its own errors. */
export function offsetOfCharacters(sql: string, characters: number): number {
  let offset = 0;
  for (let left = characters; left > 0 && offset < sql.length; left--) {
    offset += sql.codePointAt(offset)! > 0xffff ? 2 : 1;
  }
  return offset;
}
