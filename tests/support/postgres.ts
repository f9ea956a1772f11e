// A PostgreSQL of a test file: Debian's own programs, unpacked below .cache and never installed, with a socket in a folder
// of their own and no port. It runs as another user, because it refuses root.

import { chownSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SQL } from "bun";
import { ROOT } from "../../scripts/root.ts";
import { until } from "./wait.ts";

const PACKAGES = ["postgresql-15", "postgresql-client-15", "libpq5"];
const NOBODY = 65_534;

/** Why there is no PostgreSQL here; undefined when there is. */
export function withoutPostgres(): string | undefined {
  if (process.getuid?.() !== 0) return "only root may run it as another user";
  return existsSync(join(programs(), "postgres")) ? undefined : unpack();
}

const root = () => join(ROOT, ".cache/postgres");
const programs = () => join(root(), "usr/lib/postgresql/15/bin");

function unpack(): string | undefined {
  const folder = mkdtempSync(join(ROOT, ".cache/postgres-"));
  try {
    const run = (...command: string[]) => Bun.spawnSync(command, { cwd: folder, stderr: "pipe" });
    const download = () => run("apt-get", "download", "-qq", ...PACKAGES);
    // On a new machine there are no lists of packages yet.
    if (download().exitCode !== 0) {
      run("apt-get", "update", "-qq");
      const { exitCode, stderr } = download();
      if (exitCode !== 0) return `Debian's packages cannot be had: ${String(stderr).trim()}`;
    }
    const unpacked = run("sh", "-c", 'for each in *.deb; do dpkg -x "$each" unpacked; done');
    if (unpacked.exitCode !== 0) return `they cannot be unpacked: ${String(unpacked.stderr)}`;
    if (!existsSync(root())) renameSync(join(folder, "unpacked"), root());
    return undefined;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export class Postgres implements AsyncDisposable {
  readonly #folder: string;
  readonly #server: Bun.Subprocess;
  readonly #admin: SQL;

  private constructor(folder: string, server: Bun.Subprocess, admin: SQL) {
    this.#folder = folder;
    this.#server = server;
    this.#admin = admin;
  }

  static async start(): Promise<Postgres> {
    const folder = mkdtempSync(join(tmpdir(), "microview-postgres-"));
    const data = join(folder, "data");
    mkdirSync(data);
    for (const path of [folder, data]) chownSync(path, NOBODY, NOBODY);
    const share = join(root(), "usr/share/postgresql/15");
    const initialised = Bun.spawnSync(
      asNobody("initdb", "-D", data, "-U", "lake", "-A", "trust", "--no-sync", "-L", share),
      { env: environment(), stderr: "pipe" },
    );
    if (initialised.exitCode !== 0) throw new Error(String(initialised.stderr));
    const server = Bun.spawn(
      asNobody("postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"),
      { env: environment(), stdout: "ignore", stderr: "ignore" },
    );
    await until("PostgreSQL answers", () => answers(folder));
    return new Postgres(folder, server, new SQL(placeIn(folder, "postgres") as never));
  }

  /** A new, empty database: what a catalogue is opened with. */
  async database(): Promise<object> {
    const name = `lake_${crypto.randomUUID().replaceAll("-", "")}`;
    await this.#admin.unsafe(`CREATE DATABASE ${name}`);
    return placeIn(this.#folder, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#admin.close();
    this.#server.kill("SIGINT");
    await this.#server.exited;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function asNobody(program: string, ...args: string[]): string[] {
  const user = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
  return [...user, join(programs(), program), ...args];
}

function environment() {
  return { PATH: process.env["PATH"], LD_LIBRARY_PATH: libraries() };
}

const libraries = () =>
  join(root(), `usr/lib/${process.arch === "x64" ? "x86_64" : "aarch64"}-linux-gnu`);

function placeIn(folder: string, database: string) {
  return { adapter: "postgres", path: `${folder}/.s.PGSQL.5432`, username: "lake", database };
}

async function answers(folder: string): Promise<boolean> {
  const sql = new SQL(placeIn(folder, "postgres") as never);
  try {
    await sql`SELECT 1`;
    return true;
  } catch {
    return false;
  } finally {
    await sql.close();
  }
}
