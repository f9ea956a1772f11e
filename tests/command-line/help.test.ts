// The help of a subcommand: how its usage line shows what must be given and what may be.

import { expect, test } from "bun:test";
import * as flag from "../../src/command-line/flags.ts";
import { renderCommandHelp } from "../../src/command-line/help.ts";
import { styleFor } from "../../src/command-line/style.ts";

const file = flag.path({ description: "a file" });

test.each([
  ["one that may be left out", file, "[FILE]"],
  ["one that must be given", flag.required(file), "<FILE>"],
  ["any number", flag.list({ hint: "FILE", description: "files" }), "[FILE...]"],
])("operands are shown as %s", (_, operands, shown) => {
  const details = { name: "inspect", flags: {}, operands, examples: [] } as const;
  const help = renderCommandHelp(details, "shows", styleFor({}, {}));
  expect(help).toContain(`microview inspect [flags] ${shown}\n`);
});
