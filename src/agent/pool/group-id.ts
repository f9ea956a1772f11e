// Groups of this host, one of which may own the socket and the pools.

import { readFileSync } from "node:fs";
import { SettingError } from "../../settings/index.ts";

/** The number after it stands for none: chown(2). */
const LARGEST_ID = 2 ** 32 - 2;

/**
 * The number of a group, given by name or number.
 * @param label how messages name it
 * @throws SettingError for one that this host does not know
 */
export function groupId(group: string, label: string): number {
  if (/^\d+$/.test(group)) {
    if (Number(group) <= LARGEST_ID) return Number(group);
    throw new SettingError(`${label}: ${group} is no number that a group can have`);
  }
  const line = readFileSync("/etc/group", "utf8")
    .split("\n")
    .find((each) => each.startsWith(`${group}:`));
  const id = line?.split(":")[2];
  if (id === undefined) throw new SettingError(`${label}: this host has no group ${group}`);
  return Number(id);
}
