// Whether the native library is for this system: found in its ELF header (elf(5)) before it is loaded, in words
// that name both.

/** The native part cannot be used here. */
export class ShimError extends Error {
  override readonly name = "ShimError";
  readonly code = "no-native-part";

  constructor(
    message: string,
    readonly hint: string,
  ) {
    super(message);
  }
}

/** A system, in Node's words. */
export interface System {
  platform: string;
  architecture: string;
  /** Whether its C library is musl, as on Alpine, and not glibc. */
  isMusl: boolean;
}

const MAGIC = "\x7fELF";
const HEADER_BYTES = 64;
const MACHINE_OFFSET = 18;
/** Where the section headers are, which linkers put last; their size, and how many there are. */
const SECTIONS = { offset: 40, entryBytes: 58, count: 60 };

/** e_machine, by Node's names. */
const MACHINES: Readonly<Record<number, string>> = { 62: "x64", 183: "arm64", 243: "riscv64" };

/** What glibc's libraries ask for by name. */
const GLIBC = "libc.so.6";
const MUSL = "libc.musl";

/** Why a library cannot be loaded on a system; undefined when nothing speaks against it. */
export function misfit(library: Uint8Array, system: System): ShimError | undefined {
  const { platform, architecture, isMusl } = system;
  if (platform !== "linux") {
    return new ShimError(
      `microview stores into Linux shared memory, and this is ${platform}`,
      "values are kept in private memory; run the service on Linux to have them read",
    );
  }
  const image = Buffer.from(library.buffer, library.byteOffset, library.byteLength);
  if (!isWhole(image)) {
    return new ShimError(
      "the native part of microview is damaged",
      "run `make shim` in microview's folder",
    );
  }
  const machine = image.readUInt16LE(MACHINE_OFFSET);
  const made = MACHINES[machine] ?? `processor ${machine}`;
  if (made !== architecture) {
    return new ShimError(
      `the native part of microview is for ${made}, and this is ${architecture}`,
      `run \`make shim\` in microview's folder on ${architecture}, and pack or bundle it again`,
    );
  }
  if (isMusl && !image.includes(MUSL) && image.includes(GLIBC)) {
    return new ShimError(
      "the native part of microview needs glibc, and this system has musl, as Alpine does",
      "run the service in an image with glibc, e.g. oven/bun:debian",
    );
  }
  return undefined;
}

/** Whether nothing is missing at its end: loading would be a SIGBUS. */
function isWhole(image: Buffer): boolean {
  if (image.length < HEADER_BYTES || image.toString("latin1", 0, 4) !== MAGIC) return false;
  const start = Number(image.readBigUInt64LE(SECTIONS.offset));
  const bytes = image.readUInt16LE(SECTIONS.entryBytes) * image.readUInt16LE(SECTIONS.count);
  return start + bytes <= image.length;
}
