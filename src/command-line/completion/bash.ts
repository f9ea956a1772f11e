// Completion for bash 4.2 and later, without the bash-completion package.

import type { CommandDescription, ProgramDescription, ValueDescription } from "./description.ts";
import { quote } from "./quote.ts";

/** The script that `source <(microview completion bash)` reads. */
export function bashScript(program: ProgramDescription): string {
  const names = program.map(({ name }) => name).join(" ");
  return `# bash completion for microview
_microview() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}"
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 ]]; then
    COMPREPLY=($(compgen -W ${quote(`${names} help --help --version`)} -- "$current"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
    help)
      COMPREPLY=($(compgen -W ${quote(names)} -- "$current")) ;;
${program.map(commandCase).join("\n")}
  esac
}
complete -F _microview microview
`;
}

function commandCase({ name, flags, operand }: CommandDescription): string {
  const withValue = flags.filter(({ takesValue }) => takesValue);
  const valueCases = withValue.map((flag) => `        ${flag.name}) ${reply(flag)} return ;;`);
  const values =
    valueCases.length === 0
      ? ""
      : `      case "$previous" in\n${valueCases.join("\n")}\n      esac\n`;
  const words = quote(flags.map((flag) => flag.name).join(" "));
  const operands =
    operand === undefined
      ? ""
      : `      if [[ "$current" != -* ]]; then ${reply(operand)} return; fi\n`;
  return `    ${name})
${values}${operands}      COMPREPLY=($(compgen -W ${words} -- "$current")) ;;`;
}

/** The statement that offers the values, with its semicolon; nothing when there are none to offer. */
function reply({ choices, completes }: ValueDescription): string {
  if (choices.length > 0) {
    return `COMPREPLY=($(compgen -W ${quote(choices.join(" "))} -- "$current"));`;
  }
  if (completes === undefined) return "";
  const kind = completes === "directory" ? "-d" : "-f";
  return `mapfile -t COMPREPLY < <(compgen ${kind} -- "$current"); compopt -o filenames 2>/dev/null;`;
}
