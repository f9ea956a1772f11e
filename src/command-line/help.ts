// Renders the help of the root and of a subcommand.

import type { Style } from "../text/index.ts";
import { type CommandGroup, catalogueEntries } from "./catalogue.ts";
import { type Flag, flagName } from "./flags.ts";
import type { Example, SubcommandDetails } from "./subcommand.ts";

const MAX_TERM_WIDTH = 34;
const DEFAULT_WIDTH = 100;

/** One line of a list: a term and what it means. */
interface Entry {
  readonly term: string;
  readonly meaning: string;
}

const ROOT_GROUPS: readonly CommandGroup[] = ["Run", "Look", "Set up"];

const ROOT_EXAMPLES: readonly Example[] = [
  { command: "microview demo", does: "see it work" },
  { command: "microview agent", does: "start the agent of this host" },
  {
    command: "microview collect localhost:7070 --interval 1ms",
    does: "watch an agent's metrics every millisecond",
  },
  { command: "microview inspect --app auth", does: "look into one application's pool" },
];

const HELP_ENTRY: Entry = { term: "-h, --help", meaning: "show this help" };
const VERSION_ENTRY: Entry = { term: "-v, --version", meaning: "show the version" };

/** `microview --help`. */
export function renderRootHelp(version: string, style: Style, width = DEFAULT_WIDTH): string {
  const commands = catalogueEntries().filter(([, entry]) => entry.hidden !== true);
  const sections = ROOT_GROUPS.map((group) => {
    const entries = commands
      .filter(([, entry]) => entry.group === group)
      .map(([name, { summary }]) => ({ term: name, meaning: summary }));
    return section(group, entries, style, width);
  });
  return joinBlocks([
    `${style.bold("microview")} ${version}: see your services at microsecond precision, without slowing them down`,
    `${style.bold("Usage")}  microview <command> [flags]`,
    ...sections,
    section("Flags", [HELP_ENTRY, VERSION_ENTRY], style, width),
    examples(ROOT_EXAMPLES, style),
    `'microview <command> --help' tells more about one.`,
  ]);
}

/** `microview <command> --help`. @param action of `flagsOf`: what concerns others is left out */
export function renderCommandHelp(
  details: SubcommandDetails,
  summary: string,
  style: Style,
  width = DEFAULT_WIDTH,
  action?: string,
): string {
  if (action !== undefined) return renderActionHelp(details, summary, style, width, action);
  const { name, operands, description } = details;
  const usage = ["microview", name, "[flags]", operands && operandUsage(operands)];
  return joinBlocks([
    `${style.bold(`microview ${name}`)}: ${summary}`,
    description === undefined ? "" : wrap(description, width).join("\n"),
    `${style.bold("Usage")}  ${usage.filter(Boolean).join(" ")}`,
    operands === undefined
      ? ""
      : section("Arguments", [{ term: operands.hint, meaning: meaning(operands) }], style, width),
    ...flagSections(details, style, width),
    examples(details.examples, style),
  ]);
}

function renderActionHelp(
  details: SubcommandDetails,
  summary: string,
  style: Style,
  width: number,
  action: string,
): string {
  const { name, description, flagsOf = {}, examples: all } = details;
  const command = `microview ${name} ${action}`;
  const actions = Object.keys(flagsOf);
  const flags = Object.fromEntries(
    flagsOf[action]!.map((key) => {
      const flag = details.flags[key]!;
      return [key, { ...flag, description: concerning(flag.description, action, actions) }];
    }),
  );
  const own = all.filter(({ command: each }) => `${each} `.startsWith(`${command} `));
  return joinBlocks([
    `${style.bold(command)}: ${summary}`,
    description === undefined ? "" : wrap(description, width).join("\n"),
    `${style.bold("Usage")}  ${command} [flags]`,
    ...flagSections({ ...details, flags }, style, width),
    own.length === 0 ? "" : examples(own, style),
  ]);
}

/** Of `tail: only these are shown; set: only these are recorded`, what is about one action. */
function concerning(description: string, action: string, actions: readonly string[]): string {
  const parts = description.split("; ").map((part) => {
    const [prefix = "", words = ""] = /^([a-z, ]+): /.exec(part) ?? [];
    const named = words.split(", ");
    return named.every((each) => actions.includes(each))
      ? { text: part.slice(prefix.length), isOwn: named.includes(action) }
      : { text: part, isOwn: true };
  });
  return parts.flatMap(({ text, isOwn }) => (isOwn ? [text] : [])).join("; ");
}

function operandUsage(operands: Flag<unknown>): string {
  if (operands.kind === "list") return `[${operands.hint}...]`;
  return operands.isRequired === true ? `<${operands.hint}>` : `[${operands.hint}]`;
}

function flagSections(details: SubcommandDetails, style: Style, width: number): string[] {
  const groups = new Map<string, Entry[]>();
  for (const [key, flag] of Object.entries(details.flags)) {
    const group = flag.group ?? "Flags";
    const term = `${flagName(key)}${flag.hint === "" ? "" : ` ${flag.hint}`}`;
    groups.set(group, [...(groups.get(group) ?? []), { term, meaning: meaning(flag) }]);
  }
  groups.set("Flags", [...(groups.get("Flags") ?? []), HELP_ENTRY]);
  const named = [...groups].filter(([group]) => group !== "Flags");
  const ordered = [...named, ["Flags", groups.get("Flags") ?? []] as const];
  const general = named.length === 0 ? "Flags" : "General";
  return ordered.map(([group, entries]) => {
    return section(group === "Flags" ? general : group, entries, style, width);
  });
}

function meaning(flag: Flag<unknown>): string {
  const repeatable = flag.kind === "list" ? " (repeatable)" : "";
  const fallback = flag.shownDefault === undefined ? "" : ` (default ${flag.shownDefault})`;
  return `${flag.description}${repeatable}${fallback}`;
}

function section(title: string, entries: readonly Entry[], style: Style, width: number): string {
  const termWidth = Math.min(MAX_TERM_WIDTH, Math.max(...entries.map(({ term }) => term.length)));
  const indent = " ".repeat(2 + termWidth + 2);
  const lines = entries.flatMap((entry) => {
    const [first = "", ...more] = wrap(entry.meaning, Math.max(30, width - indent.length));
    const term = style.cyan(entry.term) + " ".repeat(Math.max(0, termWidth - entry.term.length));
    const head =
      entry.term.length > termWidth ? [`  ${term}`, indent + first] : [`  ${term}  ${first}`];
    return [...head, ...more.map((line) => indent + line)];
  });
  return [style.bold(title), ...lines].join("\n");
}

function examples(list: readonly Example[], style: Style): string {
  const lines = list.flatMap(({ command, does }) => [
    `  ${style.dim(`# ${does}`)}`,
    `  ${style.cyan(command)}`,
  ]);
  return [style.bold("Examples"), ...lines].join("\n");
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

function joinBlocks(blocks: readonly string[]): string {
  return `${blocks.filter((block) => block !== "").join("\n\n")}\n`;
}
