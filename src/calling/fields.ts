// What somebody else has sent, field by field: their names are known from a contract, and nothing of their values.

/** The fields of an object that may be anything. */
export type Fields<T> = { readonly [Name in keyof T]?: unknown };

/** The fields of an object; of anything else none. */
export function fieldsOf<T>(value: unknown): Fields<T> {
  return typeof value === "object" && value !== null ? value : {};
}

/** A whole number that is not negative. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
