// Every SELECT that our pages show is one that a real lake answers.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runCli } from "../commands/run-cli.ts";
import { ROOT, TestHost } from "../support/host.ts";
import { filledLake } from "./fixtures/real-lake.ts";

const PAGES = ["README.md", "docs/query.md", "docs/demo.md", "docs/trace.md", "docs/lake.md"];
/** The block of docs/query.md that shows an error, and the SQL in it. */
const ERROR_SHOWN = /```\n(microview: [^`]*?\n {2}(select .*)\n[^`]*)```/;

/** In command lines, and in blocks of SQL. */
function selectsIn(page: string): string[] {
  const text = readFileSync(join(ROOT, page), "utf8");
  const typed = [...text.matchAll(/microview query "([^"]+)"/g)].map(([, sql]) => sql!);
  const blocks = [...text.matchAll(/```sql\n([\s\S]*?)```/g)].flatMap(([, sql]) =>
    sql!.split(";").filter((each) => each.trim() !== ""),
  );
  return [...typed, ...blocks];
}

test("the SQL in our pages is answered", async () => {
  await using host = new TestHost();
  const client = await filledLake(host);
  const statements = PAGES.flatMap((page) => selectsIn(page).map((sql) => ({ page, sql })));
  expect(statements.length).toBeGreaterThan(4);
  const wrong: string[] = [];
  for (const { page, sql } of statements) {
    await client.rows(sql, {}).catch((error: Error) => {
      wrong.push(`${page}: ${sql}: ${error.message}`);
    });
  }
  expect(wrong).toEqual([]);

  const query = readFileSync(join(ROOT, "docs/query.md"), "utf8");
  const [, shown = "", sql = ""] = ERROR_SHOWN.exec(query) ?? [];
  const { exitCode, stderr } = await runCli(["query", sql, "--lake", client.url]);
  expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: shown });
});
