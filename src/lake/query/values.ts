// Values of DuckDB as text, in JSON and in CSV, without losing a digit: what a number of JavaScript cannot hold is a
// string. Used by the query process. Which text a type has is decided once per column.

import type { DuckDBType, DuckDBValue } from "@duckdb/node-api";

/** The text of one value, which is not NULL. */
type Written = (value: never) => string;

/** Numbers of DuckDB's types (`DuckDBTypeId`), which is an enum of the package that is loaded late. */
const ID = {
  ...{ BOOLEAN: 1, TINYINT: 2, SMALLINT: 3, INTEGER: 4, BIGINT: 5, UTINYINT: 6, USMALLINT: 7 },
  ...{ UINTEGER: 8, UBIGINT: 9, FLOAT: 10, DOUBLE: 11, TIMESTAMP: 12, DATE: 13, TIME: 14 },
  ...{ INTERVAL: 15, HUGEINT: 16, VARCHAR: 17, BLOB: 18, DECIMAL: 19, TIMESTAMP_S: 20 },
  ...{ TIMESTAMP_MS: 21, TIMESTAMP_NS: 22, ENUM: 23, LIST: 24, STRUCT: 25, MAP: 26, UUID: 27 },
  ...{ UNION: 28, BIT: 29, TIME_TZ: 30, TIMESTAMP_TZ: 31, UHUGEINT: 32, ARRAY: 33, BIGNUM: 35 },
  ...{ SQLNULL: 36, TIME_NS: 39, GEOMETRY: 40, VARIANT: 41 },
} as const;

export { ID as TYPE_ID };

/** A value in JSON, by its type; NULL is `null` whatever the type. */
export function jsonWriter(type: DuckDBType): (value: DuckDBValue) => string {
  const written = jsonOf(type) as (value: unknown) => string;
  return (value) => (value === null ? "null" : written(value));
}

/** A field of CSV (RFC 4180), by its type: nothing for NULL, and "" for an empty text. */
export function csvWriter(type: DuckDBType): (value: DuckDBValue) => string {
  const written = jsonOf(type) as (value: unknown) => string;
  return (value) => {
    if (value === null) return "";
    if (typeof value === "string") return csvField(value);
    const json = written(value);
    return csvField(json.startsWith('"') ? (JSON.parse(json) as string) : json);
  };
}

export function csvField(text: string): string {
  return text === "" || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function jsonOf(type: DuckDBType): Written {
  const { typeId } = type as { typeId: number };
  switch (typeId) {
    case ID.BOOLEAN:
    case ID.TINYINT:
    case ID.SMALLINT:
    case ID.INTEGER:
    case ID.UTINYINT:
    case ID.USMALLINT:
    case ID.UINTEGER:
      return String;
    case ID.BIGINT:
    case ID.UBIGINT:
    case ID.HUGEINT:
    case ID.UHUGEINT:
    case ID.BIGNUM:
      return integer;
    case ID.FLOAT:
      return (value: number) => float(shortest(value));
    case ID.DOUBLE:
      return float;
    case ID.DECIMAL:
      return decimal;
    case ID.TIMESTAMP_TZ:
      return (value: { micros: bigint }) => timestamp(value.micros, 6, "Z", value);
    case ID.TIMESTAMP:
      return (value: { micros: bigint }) => timestamp(value.micros, 6, "", value);
    case ID.TIMESTAMP_S:
      return (value: { seconds: bigint }) => timestamp(value.seconds, 0, "", value);
    case ID.TIMESTAMP_MS:
      return (value: { millis: bigint }) => timestamp(value.millis, 3, "", value);
    case ID.TIMESTAMP_NS:
      return (value: { nanos: bigint }) => timestamp(value.nanos, 9, "", value);
    case ID.DATE:
      return date;
    case ID.BLOB:
    case ID.GEOMETRY:
      return ({ bytes }: { bytes: Uint8Array }) => `"${Buffer.from(bytes).toString("base64")}"`;
    case ID.LIST:
    case ID.ARRAY:
      return list((type as unknown as { valueType: DuckDBType }).valueType);
    case ID.STRUCT:
      return struct(type as unknown as StructType);
    case ID.MAP:
      return map(type as unknown as MapType);
    case ID.UNION:
      return union(type as unknown as UnionType);
    case ID.VARIANT:
      return variant;
    case ID.SQLNULL:
      return () => "null";
    default:
      // Text, and what has a text of DuckDB's own: TIME, INTERVAL, UUID, BIT, ENUM.
      return (value: unknown) => JSON.stringify(String(value));
  }
}

interface StructType {
  entryNames: readonly string[];
  entryTypes: readonly DuckDBType[];
}
interface MapType {
  keyType: DuckDBType;
  valueType: DuckDBType;
}
interface UnionType {
  memberTags: readonly string[];
  memberTypes: readonly DuckDBType[];
}

function list(type: DuckDBType): Written {
  const item = jsonWriter(type);
  return ({ items }: { items: readonly DuckDBValue[] }) => `[${items.map(item).join(",")}]`;
}

function struct({ entryNames, entryTypes }: StructType): Written {
  const fields = entryNames.map((name, i) => {
    const key = JSON.stringify(name);
    const write = jsonWriter(entryTypes[i]!);
    return (entries: Record<string, DuckDBValue>) => `${key}:${write(entries[name]!)}`;
  });
  return ({ entries }: { entries: Record<string, DuckDBValue> }) =>
    `{${fields.map((field) => field(entries)).join(",")}}`;
}

/** A key of JSON is a text: of other types, their text. */
function map({ keyType, valueType }: MapType): Written {
  const key = csvKey(keyType);
  const write = jsonWriter(valueType);
  return ({ entries }: { entries: readonly { key: DuckDBValue; value: DuckDBValue }[] }) =>
    `{${entries.map((entry) => `${key(entry.key)}:${write(entry.value)}`).join(",")}}`;
}

function csvKey(type: DuckDBType): (key: DuckDBValue) => string {
  const write = jsonWriter(type);
  return (key) => {
    const json = write(key);
    return json.startsWith('"') ? json : JSON.stringify(json);
  };
}

function union({ memberTags, memberTypes }: UnionType): Written {
  const writers = new Map(memberTags.map((tag, i) => [tag, jsonWriter(memberTypes[i]!)]));
  return ({ tag, value }: { tag: string; value: DuckDBValue }) => writers.get(tag)!(value);
}

function variant({ value, type }: { value: DuckDBValue; type?: DuckDBType }): string {
  if (value === null) return "null";
  if (type !== undefined) return jsonWriter(type)(value);
  return typeof value === "object" ? JSON.stringify(String(value)) : plain(value);
}

function plain(value: boolean | number | bigint | string): string {
  if (typeof value === "bigint") return integer(value);
  return typeof value === "number" ? float(value) : JSON.stringify(value);
}

const SAFE = BigInt(Number.MAX_SAFE_INTEGER);

function integer(value: bigint): string {
  return value <= SAFE && value >= -SAFE ? value.toString() : `"${value}"`;
}

function float(value: number): string {
  if (!Number.isFinite(value)) return `"${value}"`;
  return Object.is(value, -0) ? "-0.0" : String(value);
}

/** The number with the fewest digits that is the same in 32 bits: 0.1, not 0.10000000149011612. */
function shortest(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}

/** Fifteen digits are what every number of 64 bits holds. */
function decimal(decimal: { value: bigint; toString(): string }): string {
  const isShort = decimal.value < 10n ** 15n && decimal.value > -(10n ** 15n);
  return isShort ? decimal.toString() : `"${decimal}"`;
}

const INFINITE_DAYS = 2 ** 31 - 1;

function date(date: { days: number; toString(): string }): string {
  if (Math.abs(date.days) === INFINITE_DAYS) return date.days > 0 ? '"infinity"' : '"-infinity"';
  return `"${date}"`;
}

const INFINITY = 2n ** 63n - 1n;
/** Seconds that `Date` has on either side of 1970. */
const DATE_RANGE_S = 8_640_000_000_000n;

/**
 * ISO 8601, with all the digits that the type has.
 * @param digits of a second's fraction
 * @param value whose text DuckDB has its own for, in years that `Date` does not reach
 */
function timestamp(count: bigint, digits: number, zone: string, value: object): string {
  if (count === INFINITY || count === -INFINITY) return count > 0n ? '"infinity"' : '"-infinity"';
  const perSecond = 10n ** BigInt(digits);
  let seconds = count / perSecond;
  let fraction = count % perSecond;
  if (fraction < 0n) {
    fraction += perSecond;
    seconds--;
  }
  if (seconds > DATE_RANGE_S || seconds < -DATE_RANGE_S) return JSON.stringify(String(value));
  const rest = digits === 0 ? "" : `.${fraction.toString().padStart(digits, "0")}`;
  return `"${secondsText(seconds)}${rest}${zone}"`;
}

let lastSeconds = 0n;
let lastText = "1970-01-01T00:00:00";

/** Rows come by time: the second is often that of the row before. */
function secondsText(seconds: bigint): string {
  if (seconds !== lastSeconds) {
    lastSeconds = seconds;
    lastText = new Date(Number(seconds) * 1_000).toISOString().slice(0, -5);
  }
  return lastText;
}
