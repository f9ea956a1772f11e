// What the machine `two` asks of `one`: files in the folder that both see.

import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../../support/wait.ts";

const FOLDER = "/out";

/** Each is asked for once; `one` answers with what it has to say. */
export type Errand = "restart the agent" | "stop counting";

const path = (errand: Errand, what: "asked" | "done") =>
  join(FOLDER, `${errand.replaceAll(" ", "-")}.${what}`);

/** Has it done. @returns the answer */
export async function ask(errand: Errand): Promise<string> {
  writeFileSync(path(errand, "asked"), "");
  await until(`it is done: ${errand}`, () => existsSync(path(errand, "done")));
  return readFileSync(path(errand, "done"), "utf8");
}

/** Waits until it is asked for, does it and answers. */
export async function serve(errand: Errand, act: () => Promise<string>): Promise<void> {
  while (!existsSync(path(errand, "asked"))) await Bun.sleep(20);
  const answer = await act();
  writeFileSync(`${path(errand, "done")}.new`, answer);
  renameSync(`${path(errand, "done")}.new`, path(errand, "done"));
}
