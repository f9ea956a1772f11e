// Builds the machine that kernel tests run in: qemu, a stock Debian kernel and a small userland,
// made of Debian's packages, without installing any and without root. Kept in .cache/vm, named by
// the hash of what it is made from, and complete or not there at all.
//
//   bun tests/vm/build.ts          builds it unless it is there
//   bun tests/vm/build.ts --fresh  builds it again, from the newest packages

import { chmod, lstat, mkdir, readdir, readlink, rename, rm, stat, utimes } from "node:fs/promises";
import { join, normalize } from "node:path";
import { cpio, type Entry, file, folder, link } from "./cpio.ts";

const HERE = import.meta.dir;
const CACHE = normalize(join(HERE, "../../.cache/vm"));
/** What the machine is made from, besides packages. */
const INGREDIENTS = ["build.ts", "cpio.ts", "init.sh", "modules", "packages"];
/** The first that Debian's lists know. The cloud kernels have no Soft-RoCE. */
const KERNELS = ["linux-image-6.12-amd64", "linux-image-amd64"];
const QEMU_PACKAGE = "qemu-system-x86";
const QEMU = "usr/bin/qemu-system-x86_64";
/** Parts of qemu that are loaded by name, and so are not seen among its libraries. */
const QEMU_MODULES = ["accel-tcg-x86_64.so"];
const FIRMWARE = [
  "seabios/bios-256k.bin",
  "qemu/linuxboot_dma.bin",
  "qemu/pvh.bin",
  "qemu/kvmvapic.bin",
];
const LOADER = "lib64/ld-linux-x86-64.so.2";
const LIBRARY_FOLDERS = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"];
/** What nobody reads in a machine. */
const UNUSED = /^usr\/(share|include)\/|\/(gconv|audit|perl5|tc)\/|\.a$|^etc\/(init\.d|default)\//;
/** libibverbs loads every driver that it finds a file for; the machines have but these. */
const RDMA_DRIVER = /^etc\/libibverbs\.d\/(?!rxe|siw)/;
/** The file that makes a machine complete, and says what it was made of. */
const DESCRIPTION = "machine.json";
const STALE_MS = 24 * 3600 * 1000;

/** The machine on disk. Paths are absolute. */
export interface Build {
  readonly folder: string;
  readonly kernel: string;
  readonly initrd: string;
  /** Program and first arguments of qemu. */
  readonly qemu: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** As `uname -r` says it. */
  readonly kernelVersion: string;
  /** Modules to load at boot. */
  readonly bootModules: readonly string[];
}

interface Description {
  readonly kernelVersion: string;
  /** In bytes, by path. */
  readonly sizes: Readonly<Record<string, number>>;
  readonly packages: readonly string[];
}

export class BuildError extends Error {}

/**
 * The machine, built if it is not there.
 *
 * @param fresh build it in any case
 * @param say is told what takes time
 */
export async function ensureBuild(
  fresh = false,
  say: (line: string) => void = console.error,
): Promise<Build> {
  const name = await key();
  const target = join(CACHE, name);
  if (!fresh && (await isComplete(target))) {
    await utimes(target, new Date(), new Date());
    return describe(target);
  }
  if (process.arch !== "x64") throw new BuildError("the machine needs an x86-64 host");
  for (const program of ["apt-get", "apt-cache", "dpkg-deb"]) {
    if (Bun.which(program) === null) {
      throw new BuildError(`no ${program} here: the machine is made of Debian's packages`);
    }
  }
  const startedNs = Bun.nanoseconds();
  const work = join(CACHE, `building-${process.pid}`);
  await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true });
  try {
    say("vm: downloading Debian's packages of a kernel, qemu and a userland (160 MB)");
    const packages = await download(work);
    say(`vm: building the machine with ${packages.kernel}`);
    const done = join(work, "done");
    await assemble(work, done, packages);
    // Another run may have been quicker; its machine is as good, and may be in use.
    if (fresh || !(await isComplete(target))) {
      await rm(target, { recursive: true, force: true });
      await rename(done, target).catch(async (error) => {
        if (!(await isComplete(target))) throw error;
      });
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  await removeStale(name);
  say(`vm: built in ${((Bun.nanoseconds() - startedNs) / 1e9).toFixed(1)} s, kept in .cache/vm`);
  return describe(target);
}

/** Whether every file is there, in its full size. */
async function isComplete(target: string): Promise<boolean> {
  try {
    const { sizes }: Description = await Bun.file(join(target, DESCRIPTION)).json();
    for (const [path, sizeBytes] of Object.entries(sizes)) {
      if ((await stat(join(target, path))).size !== sizeBytes) return false;
    }
    return true;
  } catch {
    return false;
  }
}

async function describe(target: string): Promise<Build> {
  const { kernelVersion }: Description = await Bun.file(join(target, DESCRIPTION)).json();
  const root = join(target, "qemu");
  return {
    folder: target,
    kernel: join(target, "kernel"),
    initrd: join(target, "initrd"),
    // By its own loader and libraries, so that it does not matter what the host has.
    qemu: [
      join(root, "ld.so"),
      "--library-path",
      join(root, "lib"),
      join(root, "qemu"),
      "-L",
      join(root, "firmware"),
    ],
    environment: { QEMU_MODULE_DIR: join(root, "lib") },
    kernelVersion,
    bootModules: (await list("modules"))
      .filter(([, mark]) => mark === "boot")
      .map(([name]) => name),
  };
}

async function key(): Promise<string> {
  const hash = new Bun.CryptoHasher("sha256");
  for (const name of INGREDIENTS) hash.update(await Bun.file(join(HERE, name)).bytes());
  return hash.digest("hex").slice(0, 16);
}

/** A list's lines, each as its words, without comments. */
async function list(name: string): Promise<[string, ...string[]][]> {
  const text = await Bun.file(join(HERE, name)).text();
  const lines = text.split("\n").filter((line) => /^\w/.test(line));
  return lines.map((line) => line.trim().split(/\s+/) as [string, ...string[]]);
}

// ── Packages ────────────────────────────────────────────────────────────────

interface Packages {
  /** Name of the package that holds the kernel itself. */
  readonly kernel: string;
  /** Names of those whose files go into the machine. */
  readonly guest: readonly string[];
  /** The files, by package. */
  readonly files: ReadonlyMap<string, string>;
}

/** Downloads what is needed; with the host's package lists, or else with lists fetched for this. */
async function download(work: string): Promise<Packages> {
  try {
    return await downloadWith([], work);
  } catch {
    const apt = join(CACHE, "apt");
    const options = ["-o", `Dir::State::lists=${apt}/lists`, "-o", `Dir::Cache=${apt}`];
    for (const name of ["lists/partial", "archives/partial"]) {
      await mkdir(join(apt, name), { recursive: true });
    }
    // One source that does not answer fails it, though the others may do.
    const update = await run(["apt-get", ...options, "-q", "update"], work);
    try {
      return await downloadWith(options, work);
    } catch (error) {
      throw new BuildError(
        `${error instanceof Error ? error.message : error}\n${update.output}` +
          `hint: the machine needs ${KERNELS.join(" or ")} and ${QEMU_PACKAGE} from apt's sources (Debian 12 and its security updates) and a network, once`,
      );
    }
  }
}

async function downloadWith(options: readonly string[], work: string): Promise<Packages> {
  const guest = (await list("packages")).map(([name]) => name);
  const kernel = await kernelPackage(options, work);
  // As if nothing were installed: with what the host happens to have, the machine would differ.
  const simulated = await need(
    [
      ...["apt-get", ...options, "-o", "Dir::State::status=/dev/null", "-y", "-s"],
      ...["--no-install-recommends", "install", QEMU_PACKAGE, ...guest],
    ],
    work,
  );
  const names = [...simulated.matchAll(/^Inst (\S+)/gm)].map((match) => match[1]!);
  const debs = join(work, "debs");
  await rm(debs, { recursive: true, force: true });
  await mkdir(debs);
  await need(
    ["apt-get", ...options, "-o", "APT::Sandbox::User=root", "-qq", "download", kernel, ...names],
    debs,
  );
  const files = new Map<string, string>();
  for (const name of await readdir(debs)) files.set(name.split("_")[0]!, join(debs, name));
  for (const name of [kernel, ...names]) {
    if (!files.has(name)) throw new BuildError(`apt-get did not download ${name}`);
  }
  return { kernel, guest, files };
}

async function kernelPackage(options: readonly string[], work: string): Promise<string> {
  for (const name of KERNELS) {
    const { output } = await run(["apt-cache", ...options, "depends", name], work);
    const kernel = /Depends: (linux-image-\S+)/.exec(output)?.[1];
    if (kernel !== undefined) return kernel;
  }
  throw new BuildError(`apt knows neither ${KERNELS.join(" nor ")}`);
}

// ── Assembly ────────────────────────────────────────────────────────────────

/** Makes the folder `done` from the packages. */
async function assemble(work: string, done: string, packages: Packages): Promise<void> {
  const kernelFolder = join(work, "kernel");
  const root = join(work, "root");
  const guest = join(work, "guest");
  const unpack = async (names: Iterable<string>, to: string): Promise<void> => {
    await mkdir(to, { recursive: true });
    for (const name of names) await need(["dpkg-deb", "-x", packages.files.get(name)!, to], work);
  };
  const others = [...packages.files.keys()].filter((name) => name !== packages.kernel);
  const half = Math.ceil(others.length / 2);
  await Promise.all([
    unpack([packages.kernel], kernelFolder),
    unpack(others.slice(0, half), root),
    unpack(others.slice(half), root),
    unpack(packages.guest, guest),
  ]);
  await mkdir(done, { recursive: true });
  await installQemu(root, join(done, "qemu"));
  const [kernelVersion] = await readdir(join(kernelFolder, "lib/modules"));
  if (kernelVersion === undefined) throw new BuildError(`${packages.kernel} holds no modules`);
  await installKernel(join(kernelFolder, `boot/vmlinuz-${kernelVersion}`), join(done, "kernel"));
  const entries = [
    ...(await userland(root, guest)),
    ...(await modules(kernelFolder, kernelVersion, root)),
  ];
  await Bun.write(join(done, "initrd"), cpio(entries));
  const sizes: Record<string, number> = {};
  for (const path of await readdir(done, { recursive: true })) {
    const status = await stat(join(done, path));
    if (status.isFile()) sizes[path] = status.size;
  }
  const files = [...packages.files.values()].map((path) => path.split("/").at(-1)!).sort();
  const description: Description = { kernelVersion, sizes, packages: files };
  // Last: with this file the machine is complete.
  await Bun.write(join(done, DESCRIPTION), JSON.stringify(description, null, 2));
}

async function installQemu(root: string, target: string): Promise<void> {
  for (const name of ["lib", "firmware"]) await mkdir(join(target, name), { recursive: true });
  const parts = QEMU_MODULES.map((name) => `usr/lib/x86_64-linux-gnu/qemu/${name}`);
  for (const path of parts) {
    // Built in, where there is no such file.
    if (await Bun.file(join(root, path)).exists())
      await copy(join(root, path), join(target, "lib", path.split("/").at(-1)!));
  }
  const programs = [QEMU, ...parts].map((path) => join(root, path));
  for (const library of await libraries(root, programs)) {
    await copy(join(root, library), join(target, "lib", library.split("/").at(-1)!));
  }
  for (const path of FIRMWARE) {
    await copy(join(root, "usr/share", path), join(target, "firmware", path.split("/").at(-1)!));
  }
  await copy(join(root, LOADER), join(target, "ld.so"));
  await copy(join(root, QEMU), join(target, "qemu"));
}

/**
 * Unpacks the kernel, where that can be done here: qemu starts it at its PVH entry, which saves
 * the emulated processor the work. Offsets: Documentation/arch/x86/boot.rst in its sources.
 */
async function installKernel(image: string, target: string): Promise<void> {
  const bytes = await Bun.file(image).bytes();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const setupSectors = view.getUint8(0x1f1) || 4;
  const start = (setupSectors + 1) * 512 + view.getUint32(0x248, true);
  // The last four bytes of the payload are its unpacked length.
  const payload = bytes.subarray(start, start + view.getUint32(0x24c, true) - 4);
  const isZstd = view.getUint32(start, true) === 0xfd2fb528;
  await Bun.write(target, isZstd ? Bun.zstdDecompressSync(payload) : bytes);
}

/** The userland: files of the guest's packages, the libraries they need, and our own. */
async function userland(root: string, guest: string): Promise<Entry[]> {
  const paths = (await readdir(guest, { recursive: true })).filter(
    (path) => !UNUSED.test(path) && !RDMA_DRIVER.test(path),
  );
  const entries = new Map<string, Entry>();
  const programs: string[] = [];
  for (const path of paths) {
    const entry = await entryOf(guest, path);
    if (entry === undefined) continue;
    entries.set(path, entry);
    const isElf =
      entry.content.length > 4 && entry.content[0] === 0x7f && entry.content[1] === 0x45;
    if (isElf) programs.push(join(guest, path));
  }
  for (const path of await libraries(root, programs)) {
    entries.set(path, file(path, await Bun.file(join(root, path)).bytes(), 0o755));
  }
  const { output } = await run([join(guest, "bin/busybox"), "--list"], guest);
  for (const applet of output.trim().split("\n")) {
    const places = ["bin", "sbin", "usr/bin", "usr/sbin"].map((place) => `${place}/${applet}`);
    if (!places.some((path) => entries.has(path))) {
      entries.set(places[2]!, link(places[2]!, "/bin/busybox"));
    }
  }
  const own = [
    file("init", await Bun.file(join(HERE, "init.sh")).bytes(), 0o755),
    // Where the kernel looks for it.
    link("sbin/modprobe", "/bin/busybox"),
    file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"),
    file("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    file("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n10.77.0.1 one\n10.77.0.2 two\n"),
    file("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
  ];
  for (const entry of own) entries.set(entry.path, entry);
  return withFolders(
    [...entries.values()],
    ["proc", "sys", "dev", "tmp", "run", "root", "var/tmp", "usr/local/bin", "opt"],
  );
}

async function entryOf(base: string, path: string): Promise<Entry | undefined> {
  const status = await lstat(join(base, path));
  if (status.isSymbolicLink()) return link(path, await readlink(join(base, path)));
  if (!status.isFile()) return undefined;
  return file(path, await Bun.file(join(base, path)).bytes(), status.mode & 0o777);
}

/** Puts the folders of all entries, and `more`, before them. */
function withFolders(entries: readonly Entry[], more: readonly string[]): Entry[] {
  const folders = new Set<string>();
  const addFolder = (path: string): void => {
    if (folders.has(path)) return;
    const parent = path.slice(0, Math.max(0, path.lastIndexOf("/")));
    if (parent !== "") addFolder(parent);
    folders.add(path);
  };
  for (const path of more) addFolder(path);
  for (const { path } of entries) {
    if (path.includes("/")) addFolder(path.slice(0, path.lastIndexOf("/")));
  }
  return [...[...folders].map((path) => folder(path)), ...entries];
}

/** Paths, below `root`, of the libraries that the programs need, by the loader's own word. */
async function libraries(root: string, programs: readonly string[]): Promise<string[]> {
  const search = LIBRARY_FOLDERS.map((path) => join(root, path)).join(":");
  const found = new Set<string>([LOADER]);
  for (const program of programs) {
    const { output } = await run(
      [join(root, LOADER), "--library-path", search, "--list", program],
      root,
    );
    for (const [, name] of output.matchAll(/=> (\/\S+)/g)) {
      if (name!.startsWith(`${root}/`)) found.add(name!.slice(root.length + 1));
    }
    const missing = /(\S+) => not found/.exec(output);
    if (missing !== null)
      throw new BuildError(`${program} needs ${missing[1]}, which no package brings`);
  }
  return [...found];
}

// ── Modules of the kernel ───────────────────────────────────────────────────

/** The listed modules, what they depend on, and the tables that modprobe reads. */
async function modules(kernelFolder: string, version: string, root: string): Promise<Entry[]> {
  const base = join(kernelFolder, "lib/modules", version);
  const known = new Map<string, string>();
  for (const path of await readdir(join(base, "kernel"), { recursive: true })) {
    const name = /([^/]+)\.ko(\.xz)?$/.exec(path)?.[1];
    if (name !== undefined) known.set(name.replaceAll("-", "_"), path);
  }
  const builtIn = await Bun.file(join(base, "modules.builtin")).text();
  const isBuiltIn = (name: string): boolean =>
    new RegExp(`/${name.replaceAll("_", "[-_]")}\\.ko$`, "m").test(builtIn);
  const found = new Map<
    string,
    { path: string; content: Uint8Array; depends: string[]; aliases: string[] }
  >();
  const add = async (name: string): Promise<void> => {
    if (found.has(name) || isBuiltIn(name)) return;
    const path = known.get(name);
    if (path === undefined) throw new BuildError(`the kernel ${version} has no module ${name}`);
    const content = await moduleAt(join(base, "kernel", path), root);
    const information = moduleInformation(content);
    const depends = information("depends")
      .flatMap((text) => text.split(","))
      .filter(Boolean)
      .map((text) => text.replaceAll("-", "_"));
    found.set(name, {
      path: `kernel/${path.replace(/\.xz$/, "")}`,
      content,
      depends,
      aliases: information("alias"),
    });
    for (const dependency of depends) await add(dependency);
  };
  for (const [name] of await list("modules")) await add(name);
  const dependencies = (name: string, seen: Set<string> = new Set()): string[] => {
    for (const dependency of found.get(name)?.depends ?? []) {
      if (!found.has(dependency)) continue;
      // Again at the end: modprobe loads them from the last to the first.
      seen.delete(dependency);
      seen.add(dependency);
      dependencies(dependency, seen);
    }
    return [...seen];
  };
  const target = `lib/modules/${version}`;
  const entries: Entry[] = [];
  const depends: string[] = [];
  const aliases: string[] = [];
  for (const [name, { path, content, aliases: own }] of found) {
    entries.push(file(`${target}/${path}`, content));
    depends.push(
      `${path}: ${dependencies(name)
        .map((each) => found.get(each)!.path)
        .join(" ")}`.trimEnd(),
    );
    for (const alias of own) aliases.push(`alias ${alias} ${name}`);
  }
  const tables = { "modules.dep": depends, "modules.alias": aliases, "modules.symbols": [] };
  entries.push(file(`${target}/modules.builtin`, builtIn));
  for (const [name, lines] of Object.entries(tables)) {
    entries.push(file(`${target}/${name}`, lines.map((line) => `${line}\n`).join("")));
  }
  return withFolders(entries, []);
}

async function moduleAt(path: string, root: string): Promise<Uint8Array> {
  if (!path.endsWith(".xz")) return await Bun.file(path).bytes();
  const child = Bun.spawn([join(root, "bin/busybox"), "unxz", "-c", path], { stdout: "pipe" });
  const content = await new Response(child.stdout).bytes();
  if ((await child.exited) !== 0) throw new BuildError(`cannot unpack ${path}`);
  return content;
}

/** Reads `key=value` strings of the section `.modinfo`, which end in a zero byte. */
function moduleInformation(content: Uint8Array): (key: string) => string[] {
  const text = new TextDecoder("latin1").decode(content);
  return (key) =>
    [...text.matchAll(new RegExp(`\\0${key}=([^\\0]*)`, "g"))].map((match) => match[1]!);
}

// ── Programs and files ──────────────────────────────────────────────────────

async function run(
  command: readonly string[],
  cwd: string,
): Promise<{ exitCode: number; output: string }> {
  const child = Bun.spawn([...command], {
    cwd,
    env: { ...process.env, LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [output, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { exitCode: await child.exited, output: output + errors };
}

async function need(command: readonly string[], cwd: string): Promise<string> {
  const { exitCode, output } = await run(command, cwd);
  if (exitCode === 0) return output;
  const lines = output.trim().split("\n").slice(-5).join("\n");
  throw new BuildError(`${command[0]} failed:\n${lines}`);
}

async function copy(from: string, to: string): Promise<void> {
  await Bun.write(to, Bun.file(from));
  await chmod(to, (await stat(from)).mode & 0o777);
}

/** Removes machines that nothing has used for a day, and builds that were cut short. */
async function removeStale(current: string): Promise<void> {
  for (const name of await readdir(CACHE)) {
    if (name === current || name === "apt") continue;
    const path = join(CACHE, name);
    const { mtimeMs } = await stat(path);
    if (Date.now() - mtimeMs > STALE_MS) await rm(path, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  try {
    const { folder: path, kernelVersion } = await ensureBuild(process.argv.includes("--fresh"));
    console.log(`${kernelVersion}  ${path}`);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(`vm: ${error.message}`);
    process.exit(1);
  }
}
