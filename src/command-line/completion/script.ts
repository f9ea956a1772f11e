// The script that teaches a shell the program's commands and flags. `microview completion` prints it.

import { bashScript } from "./bash.ts";
import { describeProgram, type LoadSubcommand } from "./description.ts";
import { fishScript } from "./fish.ts";
import { zshScript } from "./zsh.ts";

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

/** Reads every visible subcommand's declaration and writes the script for a shell. */
export async function completionScript(
  shell: keyof typeof SCRIPTS,
  load: LoadSubcommand,
): Promise<string> {
  return SCRIPTS[shell](await describeProgram(load));
}
