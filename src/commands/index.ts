// Subcommands, a file each, that parse what is typed, call a room and print. Here are the root command, and where each
// subcommand's code is: loaded only when it is asked for.

import { type CommandDef, defineCommand } from "citty";
import { CATALOGUE, type CommandName, type Subcommand } from "../command-line/index.ts";

const LOADERS: Readonly<Record<CommandName, () => Promise<{ default: Subcommand }>>> = {
  agent: () => import("./agent.ts"),
  collect: () => import("./collect.ts"),
  events: () => import("./events.ts"),
  lake: () => import("./lake.ts"),
  query: () => import("./query.ts"),
  trace: () => import("./trace.ts"),
  export: () => import("./export.ts"),
  replay: () => import("./replay.ts"),
  inspect: () => import("./inspect.ts"),
  doctor: () => import("./doctor.ts"),
  demo: () => import("./demo.ts"),
  completion: async () => ({
    default: (await import("./completion.ts")).completion(loadSubcommand),
  }),
  "demo-service": () => import("./demo-service.ts"),
  "query-process": () => import("./query-process.ts"),
};

/** Whether `name` is a subcommand, hidden ones included. */
export function isCommandName(name: string): name is CommandName {
  return Object.hasOwn(CATALOGUE, name);
}

/** Loads one subcommand. */
export async function loadSubcommand(name: CommandName): Promise<Subcommand> {
  return (await LOADERS[name]()).default;
}

/** `microview` itself, in citty's terms. */
export function rootCommand(version: string): CommandDef {
  return defineCommand({
    meta: { name: "microview", version },
    subCommands: Object.fromEntries(
      (Object.keys(LOADERS) as CommandName[]).map((name) => [name, () => loadSubcommand(name)]),
    ),
  });
}
