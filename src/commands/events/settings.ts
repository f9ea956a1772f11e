// `microview events set` and `events settings`: asks an agent what its services are to record, and shows what was asked.

import { existsSync } from "node:fs";
import type { Question } from "../../collector/index.ts";
import {
  CliError,
  flag,
  parseAgent,
  parseDurationMs,
  UsageError,
} from "../../command-line/index.ts";
import type { LEVELS } from "../../layout/index.ts";
import { counted, printable, type Style } from "../../text/index.ts";

const SETTING = "Setting";
const AGENT = "Agent";

export const SETTINGS_FLAGS = {
  spans: flag.choice(["on", "off"], {
    group: SETTING,
    description: "set: whether spans are recorded",
  }),
  measures: flag.choice(["on", "off"], {
    group: SETTING,
    description: "set: whether measures are recorded",
  }),
  sample: flag.parsed(parseShare, {
    group: SETTING,
    hint: "1/N",
    description: "set: which share of traces is recorded, e.g. 1/16",
  }),
  for: flag.parsed(parseTime, {
    group: SETTING,
    hint: "TIME|ever",
    description: "set: how long it holds",
    shownDefault: "10m",
  }),
  reset: flag.toggle({
    group: SETTING,
    description: "set: take back what was set for these names",
  }),
  socket: flag.path({
    group: AGENT,
    description: "set, settings: Unix socket of this host's agent",
    shownDefault: "agent.sock in the run directory",
  }),
  agent: flag.parsed(parseAgent, {
    group: AGENT,
    hint: "HOST:PORT",
    description: "set, settings: an agent elsewhere; https://HOST:PORT speaks TLS",
  }),
  tokenFile: flag.path({
    group: AGENT,
    description: "set, settings: file whose first token it is sent, with scopes=admin",
  }),
  ca: flag.path({ group: AGENT, description: "set, settings: certificates to trust there, PEM" }),
};

const DEFAULT_FOR_MS = 600_000;

type Options = flag.Options<typeof SETTINGS_FLAGS> & {
  app: readonly string[];
  service: readonly string[];
  level: (typeof LEVELS)[number] | "off" | undefined;
};

/** As the agent lists it. */
interface Setting {
  apps: readonly string[];
  services: readonly string[];
  level?: string;
  spans?: boolean;
  measures?: boolean;
  sample?: number;
  until: string | null;
}

/** @returns what to print */
export async function setEvents(options: Options): Promise<string> {
  const {
    app: apps,
    service: services,
    level,
    spans,
    measures,
    sample,
    for: forMs,
    reset,
  } = options;
  const asked = {
    ...(level === undefined ? {} : { level }),
    ...(spans === undefined ? {} : { spans: spans === "on" }),
    ...(measures === undefined ? {} : { measures: measures === "on" }),
    ...(sample === undefined ? {} : { sample }),
  };
  const isNothing = Object.keys(asked).length === 0;
  if (reset && (!isNothing || forMs !== undefined)) {
    throw new UsageError("--reset takes back what was set: it goes with --app and --service alone");
  }
  if (!reset && isNothing) {
    throw new UsageError(
      "nothing is set",
      "give --level, --spans, --measures or --sample, or --reset",
    );
  }
  const answer = await ask(
    options,
    reset
      ? { call: "DELETE /v1/events/settings", values: {}, body: { apps, services } }
      : {
          call: "POST /v1/events/settings",
          values: {},
          body: { apps, services, ...asked, forMs: forMs ?? DEFAULT_FOR_MS },
        },
  );
  const { rings } = answer as { rings: number };
  const threads = counted(Number(rings), "thread");
  return reset
    ? `taken back; ${rings === 0 ? "nothing is set any more" : `something else is set for ${threads}`}\n`
    : `set for ${threads} that record now, and for those that come\n`;
}

/** @returns what to print */
export async function showSettings(
  options: Options,
  isJson: boolean,
  style: Style,
): Promise<string> {
  const call = "GET /v1/events/settings";
  const answer = await ask(options, { call, values: {}, body: undefined });
  const { settings } = answer as { settings: readonly Setting[] };
  if (isJson) return `${JSON.stringify(settings)}\n`;
  if (settings.length === 0)
    return "nothing is set: services record what they were told by their programs\n";
  return settings.map((each) => `${lineOf(each, style)}\n`).join("");
}

function lineOf({ apps, services, until, level, spans, measures, sample }: Setting, style: Style) {
  const what = Object.entries({ level, spans, measures, sample }).flatMap(([name, value]) =>
    value === undefined
      ? []
      : [`${name} ${typeof value === "boolean" ? (value ? "on" : "off") : value}`],
  );
  const names = (globs: readonly string[]) => (globs.length === 0 ? "*" : globs.join(","));
  const scope = printable(`${names(apps)}/${names(services)}`);
  const end = until === null ? "for ever" : `until ${until}`;
  return `${style.bold(scope)}  ${printable(what.join(", "))}  ${style.dim(printable(end))}`;
}

/** @throws CliError when no agent answers, or does not want to */
async function ask(options: Options, question: Question): Promise<unknown> {
  const client = await agentOf(options);
  try {
    return await client.ask(question);
  } catch (error) {
    const { shortReason } = await import("../../http/index.ts");
    const hint = "microview doctor examines what there is";
    throw new CliError({ message: `${client.name}: ${shortReason(error)}`, hint, cause: error });
  }
}

async function agentOf({ socket, agent, tokenFile, ca }: Options) {
  const { AgentClient, credentialFiles, socketOf } = await import("../../collector/index.ts");
  if (agent === undefined) {
    if (tokenFile !== undefined || ca !== undefined) {
      throw new UsageError(
        "--token-file and --ca are for an agent elsewhere",
        "give --agent HOST:PORT",
      );
    }
    const { readOwnerSecret } = await import("../../guard/index.ts");
    const target = socket === undefined ? {} : { socketPath: socket };
    const path = socketOf(target);
    if (!existsSync(path)) {
      throw new CliError({
        message: `there is no agent at ${path}`,
        hint: "start `microview agent`, name its socket by --socket, or give --agent HOST:PORT --token-file FILE",
      });
    }
    const token = readOwnerSecret(path);
    if (token === undefined) {
      throw new CliError({
        message: `this user may not change what services of the agent at ${path} record`,
        hint: "run this as the agent's user or root, or give --agent HOST:PORT --token-file FILE",
      });
    }
    return new AgentClient(target, { token });
  }
  const isTls = agent.tls ?? ca !== undefined;
  const labels = { token: "--token-file", ca: "--ca", cert: "", key: "" };
  const paths = { token: tokenFile, ca, cert: undefined, key: undefined };
  const credentials = credentialFiles(paths, isTls, labels, () => {});
  return new AgentClient({ host: agent.host, port: agent.port }, credentials());
}

/** @throws UsageError unless it is a share above 0 and at most 1 */
function parseShare(typed: string, label: string): number {
  const [, above, below = "1"] = /^(\d+(?:\.\d+)?)(?:\/(\d+))?$/.exec(typed.trim()) ?? [];
  const share = Number(above) / Number(below);
  if (!(share > 0 && share <= 1)) {
    throw new UsageError(
      `${label} is no share: '${typed}'`,
      "write 1/16 or 0.0625; 1 is every trace",
    );
  }
  return share;
}

function parseTime(typed: string, label: string): number {
  return typed === "ever" ? 0 : parseDurationMs(typed, label);
}
