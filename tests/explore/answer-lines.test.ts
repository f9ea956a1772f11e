import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Part, partsOf } from "../../src/explore/lake/answer-lines.ts";
import { LakeError } from "../../src/explore/lake/lake-error.ts";
import { answer, ndjson } from "../support/fake-lake.ts";

async function* inChunks(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (const size of sizes) {
    yield bytes.subarray(at, at + size);
    at += size;
  }
  yield bytes.subarray(at);
}

async function read(text: string, sizes: readonly number[] = []): Promise<Part[]> {
  return Array.fromAsync(partsOf(inChunks(new TextEncoder().encode(text), sizes)));
}

const rowsOf = (parts: readonly Part[]) =>
  parts.flatMap((part) => (part.kind === "rows" ? part.rows : []));

describe("the answer of a lake", () => {
  test("is read as it comes, wherever it is cut into pieces", async () => {
    const rows = [
      ["漢字", 1],
      ["b", null],
      ["c", { key: [1] }],
    ];
    const text = ndjson(answer({ a: "VARCHAR", b: "BIGINT" }, rows));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(20)), async (sizes) => {
        const parts = await read(text, sizes);
        expect(parts[0]).toEqual({
          kind: "columns",
          columns: [
            { name: "a", type: "VARCHAR" },
            { name: "b", type: "BIGINT" },
          ],
        });
        expect(rowsOf(parts)).toEqual(rows);
        expect(parts.at(-1)).toEqual({ kind: "end", ending: { rows: 3, ms: 12, files: 2 } });
      }),
    );
  });

  test("keeps whole numbers that no double can hold", async () => {
    const text =
      '{"columns":[{"name":"ns","type":"BIGINT"}]}\n[1769860800123456789]\n[7]\n{"end":{}}\n';
    expect(rowsOf(await read(text))).toEqual([[1769860800123456789n], [7]]);
  });

  test("may say how far it is, and things that are not known yet", async () => {
    const lines = [{ progress: 0.5 }, { news: 1 }, ...answer({ a: "INTEGER" }, [[1]])];
    const parts = await read(ndjson(lines));
    expect(parts.map(({ kind }) => kind)).toEqual(["progress", "columns", "rows", "end"]);
  });

  test("ends with an error that says where in the SQL it is", async () => {
    const error = {
      code: "sql",
      message: "no such column\u001b[2J",
      hint: "look",
      position: 7,
    };
    const failed = await read(ndjson([{ error }])).catch((thrown: unknown) => thrown);
    expect(failed).toBeInstanceOf(LakeError);
    expect(failed).toMatchObject({ hint: "look", position: 7, code: "sql" });
    expect((failed as Error).message).toBe("no such column\ufffd[2J");
  });

  test.each([
    ["is cut short", '{"columns":[]}\n[]\n', "cut short"],
    ["is no JSON", "<html>\n", "no JSON"],
    ["has a row without columns", "[1]\n", "other columns"],
    ["has a row of other columns", '{"columns":[{"name":"a"}]}\n[1,2]\n', "other columns"],
    ["has a line that is no object", "7\n", "no object"],
    ["has a column without a name", '{"columns":[7]}\n', "no name"],
  ])("that %s is refused in words", async (_name, text, words) => {
    await expect(read(text)).rejects.toThrow(words);
  });
});
