// Writes a cpio archive as the kernel unpacks it at boot: format "newc", everything owned by root.
// Documentation/driver-api/early-userspace/buffer-format.rst in the kernel's sources.

const FILE = 0o100_000;
const FOLDER = 0o040_000;
const LINK = 0o120_000;
const ALIGNMENT_BYTES = 4;

export interface Entry {
  /** Path in the archive, without a leading slash. */
  readonly path: string;
  /** Type and permissions. */
  readonly mode: number;
  readonly content: Uint8Array;
}

export function file(path: string, content: Uint8Array | string, permissions = 0o644): Entry {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  return { path, mode: FILE | permissions, content: bytes };
}

export function folder(path: string, permissions = 0o755): Entry {
  return { path, mode: FOLDER | permissions, content: new Uint8Array() };
}

export function link(path: string, target: string): Entry {
  return { path, mode: LINK | 0o777, content: new TextEncoder().encode(target) };
}

/** The archive of `entries`. Folders have to come before what is in them. */
export function cpio(entries: readonly Entry[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let lengthBytes = 0;
  const add = (bytes: Uint8Array): void => {
    parts.push(bytes);
    lengthBytes += bytes.length;
  };
  const pad = (): void => add(new Uint8Array(-lengthBytes & (ALIGNMENT_BYTES - 1)));
  const trailer: Entry = { path: "TRAILER!!!", mode: 0, content: new Uint8Array() };
  for (const [index, { path, mode, content }] of [...entries, trailer].entries()) {
    const name = new TextEncoder().encode(`${path}\0`);
    // inode, mode, uid, gid, links, mtime, size, device (2), device of a node (2), name, check
    const numbers = [index + 1, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length, 0];
    const header = numbers.map((number) => number.toString(16).padStart(8, "0")).join("");
    add(new TextEncoder().encode(`070701${header}`));
    add(name);
    pad();
    add(content);
    pad();
  }
  return Buffer.concat(parts);
}
