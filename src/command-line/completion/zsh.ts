// Completion for zsh, as a function file `_microview` for a directory in fpath.

import type { CommandDescription, FlagDescription, ProgramDescription } from "./description.ts";
import { quote } from "./quote.ts";

/** The script of `microview completion zsh`. */
export function zshScript(program: ProgramDescription): string {
  const commands = program.map(({ name, summary }) => {
    return `    ${quote(`${name}:${summary.replaceAll(":", "\\:")}`)}`;
  });
  return `#compdef microview
_microview() {
  local -a commands
  commands=(
${commands.join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe 'command' commands
    _arguments '--help[show help]' '--version[show the version]'
    return
  fi
  local command="$words[2]"
  shift words
  (( CURRENT-- ))
  case "$command" in
    help)
      _describe 'command' commands ;;
${program.map(commandCase).join("\n")}
  esac
}
if [ "$funcstack[1]" = "_microview" ]; then _microview "$@"; else compdef _microview microview; fi
`;
}

function commandCase({ name, flags, operand }: CommandDescription): string {
  const specs = flags.map(flagSpec);
  if (operand !== undefined && operand.choices.length > 0) {
    specs.push(`1:value:(${operand.choices.join(" ")})`);
  }
  return `    ${name})
      _arguments \\
${specs.map((spec) => `        ${quote(spec)}`).join(" \\\n")} ;;`;
}

/** The format of `_arguments`, zshcompsys(1). */
function flagSpec(flag: FlagDescription): string {
  const description = flag.description.replace(/[[\]:\\]/g, (character) => `\\${character}`);
  const spec = `${flag.repeatable ? "*" : ""}${flag.name}[${description}]`;
  if (!flag.takesValue) return spec;
  if (flag.choices.length > 0) return `${spec}:value:(${flag.choices.join(" ")})`;
  if (flag.completes === "directory") return `${spec}:directory:_files -/`;
  return flag.completes === "path" ? `${spec}:file:_files` : `${spec}:value: `;
}
