// The pools of this host: their versions, their health, and who keeps them.

import { ForeignFileError, type Owners } from "../ffi/index.ts";
import { type FoundFile, findPools, PoolFile, readersOwners } from "../inspector/index.ts";
import { DamageError, LAYOUT_VERSION, PoolFormatError, skippedRecords } from "../layout/index.ts";
import { counted } from "../text/index.ts";
import { Check, type Finding } from "./finding.ts";

/** Files of strangers beyond so many share a finding: anybody may make very many of them. */
const FOREIGN_MAX = 10;

/** One finding for all pools that are well, and one for each other. */
export function checkPools(poolDir?: string, socketPath?: string): Finding[] {
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
  const owners = readersOwners(poolDir, socketPath);
  const well: string[] = [];
  const findings: Finding[] = [];
  const foreign: ForeignFileError[] = [];
  for (const file of files) {
    const finding = file.kind === "set-aside" ? setAside(file) : checkPool(file, owners);
    if (finding === undefined) well.push(file.app);
    else if (finding instanceof ForeignFileError) foreign.push(finding);
    else findings.push(finding);
  }
  findings.push(...foreignFindings(foreign));
  const check = new Check("pools", "pools");
  if (well.length > 0) {
    findings.unshift(check.ok(`${well.length} of layout ${LAYOUT_VERSION}: ${well.join(", ")}`));
  } else if (findings.length === 0) {
    findings.push(check.ok("none yet: an application has one when its first service attaches"));
  }
  return findings;
}

function foreignFindings(foreign: readonly ForeignFileError[]): Finding[] {
  const check = new Check("foreign-files", "files of others");
  const hint =
    "nothing reads it; remove it if it has no business there, or run as the user whose agent made it";
  const findings = foreign.slice(0, FOREIGN_MAX).map(({ message }) => check.warn(message, hint));
  const more = foreign.length - findings.length;
  if (more > 0)
    findings.push(
      check.warn(
        `${counted(more, "more file like these is", "more files like these are")} left alone`,
        hint,
      ),
    );
  return findings;
}

/** Undefined for a pool that is well and kept. */
function checkPool(
  { app, path }: FoundFile,
  owners: Owners,
): Finding | ForeignFileError | undefined {
  const check = new Check(`pool-${app}`, `pool of ${app}`);
  let pool: PoolFile;
  try {
    pool = PoolFile.open(path, owners);
  } catch (error) {
    if (error instanceof ForeignFileError) return error;
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
    const skipped = skippedRecords(directory);
    if (skipped !== undefined) {
      return check.warn(
        `${path}: ${skipped}`,
        "what this microview knows is read. Upgrade it to see the rest",
      );
    }
    if (consistency === "interrupted") {
      return check.warn(
        `${path}: its agent died while it changed the structure`,
        "start an agent: it finishes the change; no count is lost",
      );
    }
    if (!pool.agentAlive) {
      const living = [...directory.writers.values()].filter(
        (each) => pool.lifeOf(each) === "alive",
      );
      if (living.length > 0) {
        return check.fail(
          `${path}: no agent keeps it, and ${living.length} of its writers live`,
          "start an agent: it adopts the pool, and no count is lost",
        );
      }
      return check.warn(
        `${path}: no agent keeps it`,
        "start an agent: it adopts the pool. If the application is gone for good, remove the file",
      );
    }
    const { version } = pool.header;
    if (version === LAYOUT_VERSION) return undefined;
    return check.ok(`${path}: of layout ${version}, which this microview reads too`);
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
      "an agent of another version wrote it, and this one leaves it alone: start an agent of a version that reads it, or remove the file when its services have ended",
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
