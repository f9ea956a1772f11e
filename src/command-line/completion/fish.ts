// Completion for fish 3 and later.

import type { CommandDescription, FlagDescription, ProgramDescription } from "./description.ts";
import { quote } from "./quote.ts";

/** The script of `microview completion fish`. */
export function fishScript(program: ProgramDescription): string {
  const root = program.map(({ name, summary }) => {
    return `complete -c microview -n __fish_use_subcommand -a ${name} -d ${quote(summary)}`;
  });
  return `# fish completion for microview
complete -c microview -f
complete -c microview -n __fish_use_subcommand -l version -d 'show the version'
complete -c microview -n __fish_use_subcommand -l help -d 'show help'
${root.join("\n")}
${program.flatMap(commandLines).join("\n")}
`;
}

function commandLines({ name, flags, operand }: CommandDescription): string[] {
  const condition = `complete -c microview -n '__fish_seen_subcommand_from ${name}'`;
  const lines = flags.map((flag) => `${condition} ${flagOptions(flag)}`);
  const choices = operand?.choices ?? [];
  return choices.length === 0 ? lines : [...lines, `${condition} -a ${quote(choices.join(" "))}`];
}

/** Options of fish's `complete`: -x takes a value that is no file, -r one that may be. */
function flagOptions(flag: FlagDescription): string {
  const base = `-l ${flag.name.slice(2)} -d ${quote(flag.description)}`;
  if (!flag.takesValue) return base;
  if (flag.choices.length > 0) return `${base} -x -a ${quote(flag.choices.join(" "))}`;
  if (flag.completes === "directory") return `${base} -x -a '(__fish_complete_directories)'`;
  return flag.completes === "path" ? `${base} -r -F` : `${base} -x`;
}
