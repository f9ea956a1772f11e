// Which user of this host is at the other end of a connection over loopback, as the kernel tells everybody (proc_net(5)).
// For servers that ask for no token and still have something that is not for all users of the host.

import { readFileSync } from "node:fs";

/** An end of a connection. */
export interface PeerEnd {
  address: string;
  port: number;
}

const STATE_ESTABLISHED = "01";

/**
 * @param peer the other end, on this host
 * @param port of the server
 * @returns undefined when there is no such connection, or the kernel does not tell
 */
export function userOfPeer(peer: PeerEnd, port: number): number | undefined {
  const isV6 = peer.address.includes(":");
  let table: string;
  try {
    table = readFileSync(isV6 ? "/proc/net/tcp6" : "/proc/net/tcp", "latin1");
  } catch {
    return undefined;
  }
  const from = `${kernelAddress(peer.address)}:${hex(peer.port, 4)}`;
  const to = `:${hex(port, 4)}`;
  for (const line of table.split("\n")) {
    // sl, local_address, rem_address, st, queues, timer, retransmits, uid
    const [, local, remote, state, , , , uid] = line.trim().split(/\s+/);
    if (local === from && remote?.endsWith(to) === true && state === STATE_ESTABLISHED) {
      return Number(uid);
    }
  }
  return undefined;
}

/** As the kernel prints it: words of 32 bits, each in the order of the processor's bytes. */
function kernelAddress(address: string): string {
  const bytes = address.includes(":") ? bytesOfV6(address) : address.split(".").map(Number);
  const words = new Uint32Array(Uint8Array.from(bytes).buffer);
  return Array.from(words, (word) => hex(word, 8)).join("");
}

function bytesOfV6(address: string): number[] {
  // As the URL standard spells them: `::ffff:127.0.0.1` in hex, and no zone.
  const spelt = URL.parse(`http://[${address.replace(/%.*$/, "")}]`)?.hostname.slice(1, -1) ?? "::";
  const [head = "", tail] = spelt.split("::");
  const groups = (text: string) => (text === "" ? [] : text.split(":"));
  const [before, after] = [groups(head), groups(tail ?? "")];
  const zeroes = Array.from({ length: 8 - before.length - after.length }, () => "0");
  return [...before, ...zeroes, ...after].flatMap((group) => {
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, "0");
}
