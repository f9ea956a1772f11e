// Values of all of DuckDB's types, as JSON, CSV and Arrow.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { DuckDBType, DuckDBValue } from "@duckdb/node-api";
import { tableFromIPC } from "@uwdata/flechette";
import { Database } from "../../../src/duckdb/index.ts";
import { ArrowStream } from "../../../src/lake/query/arrow.ts";
import { csvWriter, jsonWriter } from "../../../src/lake/query/values.ts";

let database: Database;

beforeAll(async () => {
  database = await Database.open({ threads: 1, memoryBytes: 256e6, paths: [] });
  await database.connection.run("SET TimeZone = 'UTC'");
});
afterAll(() => database.close());

interface Read {
  names: string[];
  types: DuckDBType[];
  columns: DuckDBValue[][];
}

async function read(sql: string): Promise<Read> {
  const reader = await database.connection.runAndReadAll(sql);
  return {
    names: reader.columnNames(),
    types: reader.columnTypes(),
    columns: reader.getColumns() as DuckDBValue[][],
  };
}

/** SQL of a value, its JSON, and its field of CSV. */
const VALUES: readonly (readonly [sql: string, json: string, csv?: string])[] = [
  ["true", "true"],
  ["(-128)::TINYINT", "-128"],
  ["32767::SMALLINT", "32767"],
  ["(-2147483648)::INTEGER", "-2147483648"],
  ["4294967295::UINTEGER", "4294967295"],
  ["9007199254740991::BIGINT", "9007199254740991"],
  ["9007199254740992::BIGINT", '"9007199254740992"', "9007199254740992"],
  ["(-9223372036854775808)::BIGINT", '"-9223372036854775808"', "-9223372036854775808"],
  ["18446744073709551615::UBIGINT", '"18446744073709551615"', "18446744073709551615"],
  ["sum(range) FROM range(5)", "10"],
  [
    "170141183460469231731687303715884105727::HUGEINT",
    '"170141183460469231731687303715884105727"',
    "170141183460469231731687303715884105727",
  ],
  ["(2::UHUGEINT * 3)::UHUGEINT", "6"],
  ["12345678901234567890123::BIGNUM", '"12345678901234567890123"', "12345678901234567890123"],
  ["0.1::FLOAT", "0.1"],
  ["16777216::FLOAT", "16777216"],
  ["0.1::DOUBLE", "0.1"],
  ["1e300", "1e+300"],
  ["'NaN'::DOUBLE", '"NaN"', "NaN"],
  ["'-Infinity'::FLOAT", '"-Infinity"', "-Infinity"],
  ["-0.0::DOUBLE", "-0.0"],
  ["1.50::DECIMAL(10, 2)", "1.50"],
  ["-0.05::DECIMAL(4, 2)", "-0.05"],
  ["1234567890123456.78::DECIMAL(18, 2)", '"1234567890123456.78"', "1234567890123456.78"],
  ["'a\"b\nc'", '"a\\"b\\nc"', '"a""b\nc"'],
  ["''", '""', '""'],
  ["'ä🦆\u0001'", '"ä🦆\\u0001"', "ä🦆\u0001"],
  ["'\\x00\\xFF'::BLOB", '"AP8="', "AP8="],
  ["'0101'::BIT", '"0101"', "0101"],
  ["'a'::ENUM('a', 'b')", '"a"', "a"],
  [
    "'00000000-0000-0000-0000-0000000000ff'::UUID",
    '"00000000-0000-0000-0000-0000000000ff"',
    "00000000-0000-0000-0000-0000000000ff",
  ],
  ["DATE '2026-12-01'", '"2026-12-01"', "2026-12-01"],
  ["TIME '10:20:30.000001'", '"10:20:30.000001"', "10:20:30.000001"],
  ["'10:20:30+02'::TIMETZ", '"10:20:30+02"', "10:20:30+02"],
  [
    "TIMESTAMPTZ '2026-12-01 10:20:30.123456+02'",
    '"2026-12-01T08:20:30.123456Z"',
    "2026-12-01T08:20:30.123456Z",
  ],
  [
    "TIMESTAMPTZ '1969-12-31 23:59:59.999999Z'",
    '"1969-12-31T23:59:59.999999Z"',
    "1969-12-31T23:59:59.999999Z",
  ],
  ["TIMESTAMP '2026-12-01 10:20:30'", '"2026-12-01T10:20:30.000000"', "2026-12-01T10:20:30.000000"],
  ["TIMESTAMP_S '2026-12-01 10:20:30'", '"2026-12-01T10:20:30"', "2026-12-01T10:20:30"],
  ["TIMESTAMP_MS '2026-12-01 10:20:30.5'", '"2026-12-01T10:20:30.500"', "2026-12-01T10:20:30.500"],
  [
    "TIMESTAMP_NS '2026-12-01 10:20:30.123456789'",
    '"2026-12-01T10:20:30.123456789"',
    "2026-12-01T10:20:30.123456789",
  ],
  ["'infinity'::TIMESTAMPTZ", '"infinity"', "infinity"],
  ["'-infinity'::TIMESTAMP", '"-infinity"', "-infinity"],
  ["'-infinity'::DATE", '"-infinity"', "-infinity"],
  ["INTERVAL '1 month 2 days 3 hours'", '"1 month 2 days 03:00:00"', "1 month 2 days 03:00:00"],
  ["[1, NULL, 3]", "[1,null,3]", '"[1,null,3]"'],
  ["[]::INTEGER[]", "[]"],
  ["[[1], []]", "[[1],[]]", '"[[1],[]]"'],
  ["array_value(1, 2)", "[1,2]", '"[1,2]"'],
  ["{'a': 1, 'b c': 'x'}", '{"a":1,"b c":"x"}', '"{""a"":1,""b c"":""x""}"'],
  ["MAP {'k': 'v', 'l': NULL}", '{"k":"v","l":null}', '"{""k"":""v"",""l"":null}"'],
  [
    "MAP {1: [TIMESTAMP_S '2026-12-01 00:00:00']}",
    '{"1":["2026-12-01T00:00:00"]}',
    '"{""1"":[""2026-12-01T00:00:00""]}"',
  ],
  ["MAP {'__proto__': 1}", '{"__proto__":1}', '"{""__proto__"":1}"'],
  ["union_value(n := 5)", "5"],
  ["'{\"a\": 1}'::JSON", '"{\\"a\\": 1}"', '"{""a"": 1}"'],
  ["'x'::VARIANT", '"x"', "x"],
  ["9007199254740993::VARIANT", '"9007199254740993"', "9007199254740993"],
  ["NULL", "null", ""],
  ["NULL::INTEGER[]", "null", ""],
];

describe("a value", () => {
  test.each(VALUES)("%s is in JSON %s", async (sql, json, csv = json) => {
    const { types, columns } = await read(`SELECT ${sql}`);
    const value = columns[0]![0]!;
    expect(jsonWriter(types[0]!)(value)).toBe(json);
    expect(csvWriter(types[0]!)(value)).toBe(csv);
  });
});

describe("every type that DuckDB has", () => {
  test("is JSON that can be parsed, and CSV", async () => {
    const { names, types, columns } = await read("SELECT * FROM test_all_types()");
    expect(names.length).toBeGreaterThan(50);
    for (const [i, type] of types.entries()) {
      for (const value of columns[i]!) {
        const json = jsonWriter(type)(value);
        expect(() => JSON.parse(json)).not.toThrow();
        expect(typeof csvWriter(type)(value)).toBe("string");
      }
    }
  });

  test("is Arrow that another library reads, batch after batch", async () => {
    const { names, types, columns } = await read("SELECT * FROM test_all_types()");
    const stream = new ArrowStream(names, types);
    const bytes = Buffer.concat([stream.batch(columns), stream.batch(columns), stream.end()]);
    const table = tableFromIPC(bytes, { useBigInt: true, useDecimalInt: true });
    expect(table.numRows).toBe(6);
    expect(table.names).toEqual(names);
    for (const [i, name] of names.entries()) {
      expect([name, table.getChild(name).nullCount]).toEqual([
        ...[name, 2 * columns[i]!.filter((value) => value === null).length],
      ] as [string, number]);
    }
  });
});

test("Arrow loses no digit", async () => {
  const sql = `SELECT 9223372036854775807::BIGINT AS big, 18446744073709551615::UBIGINT AS unsigned,
    TIMESTAMP_NS '2026-12-01 10:20:30.123456789' AS ns, TIMESTAMPTZ '2026-12-01 10:20:30.123456Z' AS us,
    12345678901234567.89::DECIMAL(19, 2) AS money, '' AS empty, 'x' AS text, DATE '2026-12-01' AS day,
    [TIMESTAMP_NS '2026-12-01 10:20:30.123456789'] AS list, {'t': TIMESTAMP '2026-12-01 00:00:00'} AS s`;
  const { names, types, columns } = await read(sql);
  const stream = new ArrowStream(names, types);
  const table = tableFromIPC(Buffer.concat([stream.batch(columns), stream.end()]), {
    ...{ useBigInt: true, useDecimalInt: true },
  });
  const raw = (name: string) => table.getChild(name).data[0]!.values as BigInt64Array;
  expect(table.getChild("big").at(0)).toBe(9223372036854775807n);
  expect(table.getChild("unsigned").at(0)).toBe(18446744073709551615n);
  expect(raw("ns")[0]).toBe(1_796_120_430_123_456_789n);
  expect(raw("us")[0]).toBe(1_796_120_430_123_456n);
  expect(table.getChild("money").at(0)).toBe(1234567890123456789n);
  expect(table.getChild("empty").at(0)).toBe("");
  expect(table.getChild("text").at(0)).toBe("x");
  expect(new Date(table.getChild("day").at(0) as number).toISOString()).toBe(
    "2026-12-01T00:00:00.000Z",
  );
  expect(table.getChild("list").data[0]!.children![0]!.values[0]).toBe(1_796_120_430_123_456_789n);
});
