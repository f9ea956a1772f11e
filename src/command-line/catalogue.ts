// Names and one-line summaries of all subcommands. Apart from their code, so that the root's help
// and the suggestions for a mistyped name load none of it.

/** A heading of the root's help. */
export type CommandGroup = "Run" | "Look" | "Set up";

/** What the root says about a subcommand. */
interface CatalogueEntry {
  readonly summary: string;
  readonly group: CommandGroup;
  /** Left out of help, completion and suggestions. */
  readonly hidden?: boolean;
}

export const CATALOGUE = {
  agent: {
    group: "Run",
    summary: "keep this host's shared memory: hand out pages, notice deaths, answer collectors",
  },
  lake: {
    group: "Run",
    summary: "keep events of many hosts in files, and answer SQL about them",
  },
  demo: {
    group: "Run",
    summary: "run a lake, an agent, three services under load and a live view of their metrics",
  },
  collect: {
    group: "Look",
    summary: "read metrics from agents, down to once per millisecond",
  },
  events: {
    group: "Look",
    summary: "follow what services of this host log, measure and time; needs no agent",
  },
  query: {
    group: "Look",
    summary: "ask a lake by SQL about logs, measures and spans of all services",
  },
  trace: {
    group: "Look",
    summary: "show one request through all services as a waterfall",
  },
  export: {
    group: "Look",
    summary: "write what a lake holds for a time range as a file for Perfetto's viewer",
  },
  replay: {
    group: "Look",
    summary: "hand a recorded run to any output, at any speed",
  },
  inspect: {
    group: "Look",
    summary: "print what a pool on this host holds; needs no agent",
  },
  doctor: {
    group: "Set up",
    summary: "say what this host offers and lacks, and what to do about it",
  },
  completion: {
    group: "Set up",
    summary: "print a completion script for bash, zsh or fish",
  },
  "demo-service": {
    group: "Run",
    summary: "one service of the demo",
    hidden: true,
  },
  "query-process": {
    group: "Run",
    summary: "the process of one query of a lake",
    hidden: true,
  },
} as const satisfies Readonly<Record<string, CatalogueEntry>>;

/** A subcommand's name. */
export type CommandName = keyof typeof CATALOGUE;

/** All entries in the order of the help. */
export function catalogueEntries(): readonly (readonly [CommandName, CatalogueEntry])[] {
  return Object.entries(CATALOGUE) as [CommandName, CatalogueEntry][];
}

/** Names to show and to suggest. */
export function visibleCommands(): readonly CommandName[] {
  return catalogueEntries()
    .filter(([, entry]) => entry.hidden !== true)
    .map(([name]) => name);
}
