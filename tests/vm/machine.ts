// Runs a command in a machine of its own: a stock Debian kernel under qemu, with a folder of the
// host at /repo, the running bun in its PATH, and everything of a kernel that tests may want.
//
//   bun tests/vm/machine.ts -- ibv_devinfo
//   bun tests/vm/machine.ts --help

import { access, constants, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { ROOT } from "../../scripts/root.ts";
import { type Build, BuildError, ensureBuild } from "./build.ts";

const DEFAULT_MEMORY_MIB = 1024;
const DEFAULT_CPUS = 2;
const DEFAULT_TIMEOUT_S = 120;
/** Enough for a panic with its registers and its stack. */
const CONSOLE_LINES = 60;
/** What `docker run` answers when the container itself fails. */
const EXIT_MACHINE_FAILED = 125;
/**
 * An emulated kernel now and then runs into a breakpoint that it has set itself: it exchanges instructions under its
 * other processor, which qemu's threads do not always see in order.
 */
const BOOTS_MAX = 3;
/** Longer than a boot takes with KVM, where that works. */
const KVM_PROBE_TIMEOUT_S = 15;

export interface Run {
  /** For `sh`, in /repo. Its output and exit code are the run's. */
  readonly command: string;
  /** The folder at /repo, read-only. */
  readonly folder?: string;
  /** A folder at /out, writable. */
  readonly out?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly memoryMiB?: number;
  readonly cpus?: number;
  /** Those of tests/vm/modules that are loaded at boot, instead of those marked there. */
  readonly modules?: readonly string[];
  /** From the start of the machine to the end of the command. */
  readonly timeoutS?: number;
  /** Its host name, and how messages call it. */
  readonly name?: string;
  /** A cable to another machine. */
  readonly link?: Link;
  /** Gets the output, both streams in one; else it goes to standard output. */
  readonly onOutput?: (bytes: Uint8Array) => void;
  /** Where to keep what the kernel says. */
  readonly console?: string;
  /** Ends the machine. */
  readonly signal?: AbortSignal;
}

/** One end of a cable: two Unix sockets, and the address of `eth0`. */
export interface Link {
  readonly socket: string;
  readonly peerSocket: string;
  /** With its length, `10.77.0.1/24`. */
  readonly address: string;
  readonly mac: string;
}

/** The machine did not boot, or ended or hung before its command did. */
export class MachineError extends Error {}

/** It ended before its command began. */
class BootError extends MachineError {}

/**
 * Boots a machine, runs the command and ends the machine.
 *
 * @returns the command's exit code
 * @throws MachineError when there is none
 */
export async function runMachine(run: Run): Promise<number> {
  const build = await ensureBuild();
  const accel = await accelerator(build);
  for (let attempt = 1; ; attempt++) {
    try {
      return await boot(build, run, accel);
    } catch (error) {
      if (!(error instanceof BootError) || attempt === BOOTS_MAX) throw error;
      console.error(`${error.message}\nit did not boot: once more`);
    }
  }
}

/** An interactive shell in a machine, on this terminal. */
export async function runShell(run: Omit<Run, "command">): Promise<void> {
  const build = await ensureBuild();
  await boot(build, { ...run, command: "" }, await accelerator(build), true);
}

async function boot(build: Build, run: Run, accel: string, isShell = false): Promise<number> {
  const { name = "machine", timeoutS = DEFAULT_TIMEOUT_S } = run;
  run.signal?.throwIfAborted();
  const host = await mkdtemp(join(tmpdir(), "microview-vm-"));
  const log = run.console ?? join(host, "console");
  let qemu:
    | Bun.Subprocess<"ignore" | "inherit", "pipe" | "inherit", "pipe" | "inherit">
    | undefined;
  const end = (): void => qemu?.kill("SIGKILL");
  try {
    await Bun.write(join(host, "settings"), await settings(build, run, isShell));
    await Bun.write(join(host, "command"), `${exports(run.environment ?? {})}${run.command}\n`);
    const streams = isShell ? "inherit" : "pipe";
    qemu = Bun.spawn(
      [...untilThisEnds(), ...build.qemu, ...(await flags(build, run, accel, host, log, isShell))],
      {
        env: { ...process.env, ...build.environment },
        stdin: isShell ? "inherit" : "ignore",
        stdout: streams,
        stderr: streams,
      },
    );
    run.signal?.addEventListener("abort", end);
    let isLate = false;
    const timer = isShell
      ? undefined
      : setTimeout(() => {
          isLate = true;
          end();
        }, timeoutS * 1000);
    let complaints = "";
    if (qemu.stdout !== undefined && qemu.stderr !== undefined) {
      const complaining = new Response(qemu.stderr).text();
      const write = run.onOutput ?? ((bytes: Uint8Array) => void process.stdout.write(bytes));
      for await (const bytes of qemu.stdout) write(bytes);
      complaints = await complaining;
    }
    await qemu.exited;
    clearTimeout(timer);
    run.signal?.throwIfAborted();
    if (isShell) return 0;
    const exit = Bun.file(join(host, "exit"));
    const code = (await exit.exists()) ? Number.parseInt(await exit.text(), 10) : Number.NaN;
    if (Number.isInteger(code)) return code;
    const reason = isLate ? `did not end within ${timeoutS} s` : "ended before its command did";
    const hasBegun = await Bun.file(join(host, "begun")).exists();
    const Kind = isLate || hasBegun ? MachineError : BootError;
    throw new Kind(`${name} ${reason}\n${complaints}${await lastLines(log)}`);
  } finally {
    run.signal?.removeEventListener("abort", end);
    end();
    await qemu?.exited;
    await rm(host, { recursive: true, force: true });
  }
}

/** What the machine's first process reads, init.sh. */
async function settings(build: Build, run: Run, isShell: boolean): Promise<string> {
  return Object.entries({
    VM_NAME: run.name ?? "machine",
    VM_MODULES: (run.modules ?? build.bootModules).join(" "),
    VM_BUN: basename(await realpath(process.execPath)),
    VM_OUT: run.out === undefined ? "" : "1",
    VM_ADDRESS: run.link?.address ?? "",
    VM_SHELL: isShell ? "1" : "",
  })
    .map(([key, value]) => `${key}=${quoted(value)}\n`)
    .join("");
}

async function flags(
  build: Build,
  run: Run,
  accel: string,
  host: string,
  log: string,
  isShell: boolean,
): Promise<string[]> {
  const share = (tag: string, path: string, isReadOnly: boolean): string[] => [
    "-fsdev",
    `local,id=${tag},path=${path.replaceAll(",", ",,")},security_model=none,multidevs=remap${isReadOnly ? ",readonly=on" : ""}`,
    "-device",
    `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}`,
  ];
  const { memoryMiB = DEFAULT_MEMORY_MIB, cpus = DEFAULT_CPUS, link } = run;
  // Panics end the machine; an oops is one. The rest saves time, or says less about lost time.
  const kernelArguments = [
    "console=ttyS0",
    isShell ? "quiet" : "",
    "panic=-1 oops=panic mitigations=off nokaslr nowatchdog rcupdate.rcu_cpu_stall_suppress=1",
    "tsc=reliable no_timer_check random.trust_cpu=on cryptomgr.notests=1 init_on_alloc=0",
  ].join(" ");
  return [
    ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    ...[
      "-machine",
      "q35",
      ...(accel === "kvm"
        ? ["-accel", "kvm", "-cpu", "host"]
        : ["-accel", "tcg,thread=multi,tb-size=2048", "-cpu", "max"]),
    ],
    ...["-smp", `${cpus}`, "-m", `${memoryMiB}`],
    ...["-kernel", build.kernel, "-initrd", build.initrd, "-append", kernelArguments],
    // ttyS0 is the kernel's console, ttyS1 carries the command's output.
    ...(isShell
      ? ["-serial", "mon:stdio"]
      : ["-serial", `file:${log.replaceAll(",", ",,")}`, "-serial", "stdio"]),
    ...share("host", host, false),
    ...share("repo", resolve(run.folder ?? ROOT), true),
    ...share("bun", dirname(await realpath(process.execPath)), true),
    ...(run.out === undefined ? [] : share("out", resolve(run.out), false)),
    ...(link === undefined
      ? []
      : [
          "-netdev",
          `dgram,id=cable,local.type=unix,local.path=${link.socket},remote.type=unix,remote.path=${link.peerSocket}`,
          "-device",
          `virtio-net-pci,netdev=cable,mac=${link.mac},romfile=`,
        ]),
  ];
}

/** Aborts when this process is asked to end, so that its machines end first. */
export function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => controller.abort(new MachineError(`ended by ${name}`)));
  }
  return controller.signal;
}

/** Has the kernel end qemu when this process ends, however it does. */
function untilThisEnds(): string[] {
  return Bun.which("setpriv") === null ? [] : ["setpriv", "--pdeathsig", "KILL", "--"];
}

/**
 * `kvm` where it is proven to boot our kernel, else `tcg`, software emulation. A device /dev/kvm
 * alone means little: inside of some virtual machines it is there and does not work.
 */
async function accelerator(build: Build): Promise<"kvm" | "tcg"> {
  if (!(await offersKvm())) return "tcg";
  const memo = Bun.file(join(build.folder, "accelerator"));
  if (await memo.exists()) return (await memo.text()) === "kvm" ? "kvm" : "tcg";
  const probe = { name: "KVM probe", command: "true", modules: [], timeoutS: KVM_PROBE_TIMEOUT_S };
  const works = await boot(build, probe, "kvm").then(
    (code) => code === 0,
    () => false,
  );
  const found = works ? "kvm" : "tcg";
  await memo.write(found);
  return found;
}

async function offersKvm(): Promise<boolean> {
  if (!/\b(vmx|svm)\b/.test(await Bun.file("/proc/cpuinfo").text())) return false;
  return await access("/dev/kvm", constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
}

function exports(environment: Readonly<Record<string, string>>): string {
  return Object.entries(environment)
    .map(([key, value]) => `export ${key}=${quoted(value)}\n`)
    .join("");
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

async function lastLines(path: string): Promise<string> {
  const log = Bun.file(path);
  const text = (await log.exists()) ? (await log.text()).trim() : "";
  if (text === "") return "its console said nothing";
  const lines = text.split(/\r?\n/).slice(-CONSOLE_LINES);
  return `its console's last lines:\n${lines.map((line) => `    ${line}`).join("\n")}`;
}

const HELP = `usage: bun tests/vm/machine.ts [flags] -- COMMAND [ARGUMENT]...
       bun tests/vm/machine.ts [flags] --shell

Runs COMMAND in a machine of its own, in /repo. One word is a line for sh.

  --folder DIR     what is at /repo, read-only (this repository)
  --out DIR        what is at /out, writable
  --modules A,B    those of tests/vm/modules to load at boot
  --memory MIB     (${DEFAULT_MEMORY_MIB})
  --cpus N         (${DEFAULT_CPUS})
  --timeout S      ends the machine after so many seconds (${DEFAULT_TIMEOUT_S})
  --console FILE   keeps what the kernel says
  --shell          a shell instead; \`poweroff -f\` or ctrl-a x ends it
`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: {
      folder: { type: "string" },
      out: { type: "string" },
      modules: { type: "string" },
      memory: { type: "string" },
      cpus: { type: "string" },
      timeout: { type: "string" },
      console: { type: "string" },
      shell: { type: "boolean" },
      help: { type: "boolean" },
    },
    allowPositionals: true,
  });
  if (values.help === true || (positionals.length === 0 && values.shell !== true)) {
    process.stdout.write(HELP);
    return values.help === true ? 0 : 2;
  }
  const given = <K extends string, V>(key: K, value: V | undefined): { [k in K]?: V } =>
    (value === undefined ? {} : { [key]: value }) as { [k in K]?: V };
  const number = (text: string | undefined): number | undefined =>
    text === undefined ? undefined : Number(text);
  const run = {
    ...given("folder", values.folder),
    ...given("out", values.out),
    ...given("modules", values.modules?.split(",").filter(Boolean)),
    ...given("memoryMiB", number(values.memory)),
    ...given("cpus", number(values.cpus)),
    ...given("timeoutS", number(values.timeout)),
    ...given("console", values.console),
    signal: interruption(),
  };
  if (values.shell === true) {
    await runShell(run);
    return 0;
  }
  const command = positionals.length === 1 ? positionals[0]! : positionals.map(quoted).join(" ");
  return await runMachine({ ...run, command });
}

if (import.meta.main) {
  try {
    process.exitCode = await main();
  } catch (error) {
    if (!(error instanceof MachineError || error instanceof BuildError)) throw error;
    console.error(`vm: ${error.message}`);
    process.exitCode = EXIT_MACHINE_FAILED;
  }
}
