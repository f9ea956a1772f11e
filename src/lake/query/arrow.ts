// Rows of DuckDB as Arrow's streaming format: a schema, then a batch for every few chunks, then the end. Used by the
// query process. Flechette writes a table at a time; of each but the first, the schema is cut off, of all the end.
// Its builders take dates and times as milliseconds, which would lose digits: they are built as the integers that
// they are, and only the schema tells what they mean.

import type { DuckDBType, DuckDBValue } from "@duckdb/node-api";
import {
  binary,
  bool,
  columnFromValues,
  type DataType,
  dateDay,
  decimal,
  Endianness,
  field,
  float32,
  float64,
  IntervalUnit,
  int8,
  int16,
  int32,
  int64,
  interval,
  list,
  map,
  nullType,
  struct,
  Table,
  TimeUnit,
  tableToIPC,
  timeMicrosecond,
  timeNanosecond,
  timestamp,
  uint8,
  uint16,
  uint32,
  uint64,
  utf8,
  Version,
} from "@uwdata/flechette";
import { TYPE_ID as ID, jsonWriter } from "./values.ts";

/** A type: as the schema has it, as it is built, and its values for the builder. */
interface ArrowType {
  shown: DataType;
  built: DataType;
  value: (value: never) => unknown;
}

/** The end of a stream: a continuation, and a message of no bytes. */
const END = new Uint8Array([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);

export class ArrowStream {
  readonly #names: readonly string[];
  readonly #types: readonly ArrowType[];
  #begun = false;

  constructor(names: readonly string[], types: readonly DuckDBType[]) {
    this.#names = names;
    this.#types = types.map(arrowType);
  }

  /** Bytes of a batch. @param columns of equal length, as many as there are names */
  batch(columns: readonly (readonly DuckDBValue[])[]): Uint8Array {
    const built = this.#types.map(({ built, value }, i) => {
      const of = value as (value: unknown) => unknown;
      const values = columns[i]!;
      return columnFromValues((add: (value: unknown) => void) => {
        for (const each of values) add(each === null ? null : of(each));
      }, built);
    });
    const fields = this.#types.map(({ shown }, i) => field(this.#names[i]!, shown));
    const schema = { version: Version.V5, endianness: Endianness.Little, fields, metadata: null };
    const bytes = tableToIPC(new Table(schema, built), { format: "stream" })!;
    const from = this.#begun ? schemaBytes(bytes) : 0;
    this.#begun = true;
    return bytes.subarray(from, bytes.length - END.length);
  }

  /** The last bytes; with the schema, if no batch was. */
  end(): Uint8Array {
    const schema = this.#begun ? new Uint8Array(0) : this.batch(this.#types.map(() => []));
    return Buffer.concat([schema, END]);
  }
}

/** Of the message that a stream begins with: continuation, length, metadata; a schema has no body. */
function schemaBytes(bytes: Uint8Array): number {
  return 8 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true);
}

function arrowType(type: DuckDBType): ArrowType {
  const { typeId } = type as { typeId: number };
  switch (typeId) {
    case ID.BOOLEAN:
      return same(bool());
    case ID.TINYINT:
      return same(int8());
    case ID.SMALLINT:
      return same(int16());
    case ID.INTEGER:
      return same(int32());
    case ID.BIGINT:
      return same(int64());
    case ID.UTINYINT:
      return same(uint8());
    case ID.USMALLINT:
      return same(uint16());
    case ID.UINTEGER:
      return same(uint32());
    case ID.UBIGINT:
      return same(uint64());
    case ID.FLOAT:
      return same(float32());
    case ID.DOUBLE:
      return same(float64());
    case ID.HUGEINT:
      return same(decimal(38, 0, 128));
    case ID.DECIMAL: {
      const { width, scale } = type as unknown as { width: number; scale: number };
      return as(decimal(width, scale, 128), ({ value }: { value: bigint }) => value);
    }
    case ID.DATE:
      return as(dateDay(), ({ days }: { days: number }) => days, int32());
    case ID.TIME:
      return as(timeMicrosecond(), ({ micros }: { micros: bigint }) => micros, int64());
    case ID.TIME_NS:
      return as(timeNanosecond(), ({ nanos }: { nanos: bigint }) => nanos, int64());
    case ID.TIMESTAMP:
      return instant(TimeUnit.MICROSECOND, null, ({ micros }: { micros: bigint }) => micros);
    case ID.TIMESTAMP_TZ:
      return instant(TimeUnit.MICROSECOND, "UTC", ({ micros }: { micros: bigint }) => micros);
    case ID.TIMESTAMP_S:
      return instant(TimeUnit.SECOND, null, ({ seconds }: { seconds: bigint }) => seconds);
    case ID.TIMESTAMP_MS:
      return instant(TimeUnit.MILLISECOND, null, ({ millis }: { millis: bigint }) => millis);
    case ID.TIMESTAMP_NS:
      return instant(TimeUnit.NANOSECOND, null, ({ nanos }: { nanos: bigint }) => nanos);
    case ID.INTERVAL:
      return as(
        interval(IntervalUnit.MONTH_DAY_NANO),
        ({ months, days, micros }: { months: number; days: number; micros: bigint }) => [
          months,
          days,
          micros * 1_000n,
        ],
      );
    case ID.BLOB:
    case ID.GEOMETRY:
      return as(binary(), ({ bytes }: { bytes: Uint8Array }) => bytes);
    case ID.LIST:
    case ID.ARRAY:
      return lists(arrowType((type as unknown as { valueType: DuckDBType }).valueType));
    case ID.STRUCT:
      return structs(
        type as unknown as { entryNames: readonly string[]; entryTypes: readonly DuckDBType[] },
      );
    case ID.MAP:
      return maps(type as unknown as { keyType: DuckDBType; valueType: DuckDBType });
    case ID.SQLNULL:
      return same(nullType());
    case ID.UNION:
    case ID.VARIANT:
      return as(utf8(), jsonWriter(type) as (value: never) => string);
    default:
      // Text, and what Arrow has no type for, or not one that holds every value.
      return as(utf8(), String);
  }
}

function as(shown: DataType, value: ArrowType["value"], built = shown): ArrowType {
  return { shown, built, value };
}

function same(type: DataType): ArrowType {
  return as(type, (value) => value);
}

function instant(unit: number, zone: string | null, value: ArrowType["value"]): ArrowType {
  return as(timestamp(unit as never, zone), value, int64());
}

function lists({ shown, built, value }: ArrowType): ArrowType {
  const item = nullable(value);
  const items = ({ items }: { items: readonly unknown[] }) => items.map(item);
  return as(list(field("item", shown)), items, list(field("item", built)));
}

function structs(type: {
  entryNames: readonly string[];
  entryTypes: readonly DuckDBType[];
}): ArrowType {
  const fields = type.entryNames.map((name, i) => {
    const { shown, built, value } = arrowType(type.entryTypes[i]!);
    return { name, shown, built, value: nullable(value) };
  });
  return as(
    struct(fields.map(({ name, shown }) => field(name, shown))),
    ({ entries }: { entries: Record<string, unknown> }) =>
      Object.fromEntries(fields.map(({ name, value }) => [name, value(entries[name])])),
    struct(fields.map(({ name, built }) => field(name, built))),
  );
}

function maps(type: { keyType: DuckDBType; valueType: DuckDBType }): ArrowType {
  const key = arrowType(type.keyType);
  const value = arrowType(type.valueType);
  const [toKey, toValue] = [nullable(key.value), nullable(value.value)];
  return as(
    map(key.shown, value.shown),
    ({ entries }: { entries: readonly { key: unknown; value: unknown }[] }) =>
      entries.map((entry) => [toKey(entry.key), toValue(entry.value)]),
    map(key.built, value.built),
  );
}

function nullable(value: ArrowType["value"]): (value: unknown) => unknown {
  return (each) => (each === null || each === undefined ? null : value(each as never));
}
