// The pools of this host: their versions, their health, and who keeps them.

import { DamageError, LAYOUT_VERSION, PoolFormatError } from "../../layout/index.ts";
import { type FoundFile, findPools } from "../discovery.ts";
import { PoolFile } from "../pool-file.ts";
import { Check, type Finding } from "./finding.ts";

/** One finding for all pools that are well, and one for each other. */
export function checkPools(poolDir?: string): Finding[] {
  let files: FoundFile[];
  try {
    files = findPools(poolDir);
  } catch (error) {
    return [
      new Check("pools", "pools").warn(
        (error as Error).message,
        "create the directory, or let this user list it",
      ),
    ];
  }
  const well: string[] = [];
  const findings: Finding[] = [];
  for (const file of files) {
    const finding = file.kind === "set-aside" ? setAside(file) : checkPool(file);
    if (finding === undefined) well.push(file.app);
    else findings.push(finding);
  }
  const check = new Check("pools", "pools");
  if (well.length > 0) {
    findings.unshift(check.ok(`${well.length} of layout ${LAYOUT_VERSION}: ${well.join(", ")}`));
  } else if (findings.length === 0) {
    findings.push(check.ok("none yet: an application has one when its first service attaches"));
  }
  return findings;
}

/** Undefined for a pool that is well and kept. */
function checkPool({ app, path }: FoundFile): Finding | undefined {
  const check = new Check(`pool-${app}`, `pool of ${app}`);
  let pool: PoolFile;
  try {
    pool = PoolFile.open(path);
  } catch (error) {
    return unreadable(check, path, error as Error);
  }
  try {
    const { consistency, directory, damage } = pool.read();
    const damaged = directory.damageCount + damage.length;
    if (damaged > 0) {
      const first = (directory.damage[0] ?? damage[0])!;
      return check.warn(
        `${path} has ${damaged} damaged places, the first: ${first.reason}`,
        `look at it: \`microview inspect --app ${app} --raw\`; a new agent sets it aside and begins a new one`,
      );
    }
    if (consistency === "interrupted") {
      return check.warn(
        `${path}: its agent died while it changed the structure`,
        "start an agent: it finishes the change; no count is lost",
      );
    }
    if (!pool.agentAlive) {
      return check.warn(
        `${path}: no agent keeps it`,
        "start an agent: it adopts the pool. If the application is gone for good, remove the file",
      );
    }
    return undefined;
  } catch (error) {
    return unreadable(check, path, error as Error);
  } finally {
    pool.close();
  }
}

function unreadable(check: Check, path: string, error: Error): Finding {
  const finding = `${path}: ${error.message}`;
  if (error instanceof PoolFormatError && error.version !== undefined) {
    return check.warn(
      finding,
      "an agent of that version wrote it: stop its services and that agent, then start them anew",
    );
  }
  if (error instanceof PoolFormatError || error instanceof DamageError) {
    return check.warn(
      finding,
      "an agent sets it aside when it starts; if it is not microview's, remove it",
    );
  }
  return check.warn(
    finding,
    "join the group that owns the pools: see `ls -l` and the agent's --group",
  );
}

function setAside({ app, path }: FoundFile): Finding {
  return new Check(`set-aside-${app}`, `pool of ${app}`).warn(
    `${path} was set aside by an agent that could not use it`,
    "keep it for a report of the defect, or remove it to free its memory",
  );
}
