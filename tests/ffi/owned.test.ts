// What is opened where others may put files, and that permissions go to the very file that was meant.

import { afterAll, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import {
  ForeignFileError,
  Mapping,
  OTHERS_WRITE,
  openOwned,
  ownerOfSocket,
  ownUids,
  SharedFile,
  shareSocket,
} from "../../src/ffi/index.ts";
import { until } from "../support/wait.ts";

const folder = mkdtempSync("/dev/shm/microview-owned-");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn("only root can make other users' files: some tests are skipped");
const STRANGER = 65_534;
const own = { uids: ownUids() };

let count = 0;
function file(mode = 0o600): string {
  const path = join(folder, `file${++count}`);
  writeFileSync(path, "x");
  chmodSync(path, mode);
  return path;
}

/** Why a file is left alone. */
function reasonOf(path: string, owners: Parameters<typeof openOwned>[2] = own): string | undefined {
  try {
    openOwned(path, false, owners).close();
    return undefined;
  } catch (error) {
    if (!(error instanceof ForeignFileError)) throw error;
    return error.reason;
  }
}

test("a plain file of this user is opened", () => {
  expect(reasonOf(file())).toBeUndefined();
});

test("what is no plain file is not opened, and nobody is waited for", () => {
  const fifo = join(folder, "fifo");
  expect(Bun.spawnSync(["mkfifo", fifo]).success).toBe(true);
  const link = join(folder, "link");
  symlinkSync(file(), link);
  const directory = join(folder, "directory");
  mkdirSync(directory);
  expect(reasonOf(fifo)).toContain("a FIFO");
  expect(reasonOf(link)).toContain("a symbolic link");
  expect(reasonOf(directory)).toContain("a folder");
  expect(reasonOf("/dev/null")).toContain("a device");
  expect(() => openOwned(join(folder, "none"), false, own)).toThrow("no such file");
});

test("what is no plain file is not even opened", async () => {
  const fifo = join(folder, "waited-for");
  expect(Bun.spawnSync(["mkfifo", fifo]).success).toBe(true);
  // Waits until somebody opens the other end.
  const writer = Bun.spawn(["sh", "-c", 'echo hello >"$1"', "sh", fifo]);
  await until("it waits", () => readFileSync(`/proc/${writer.pid}/stat`, "utf8").includes(") S "));
  for (let i = 0; i < 50; i++) expect(reasonOf(fifo)).toContain("a FIFO");
  expect(() => SharedFile.open(fifo, false)).toThrow("it is no plain file");
  await Bun.sleep(50);
  expect(writer.exitCode).toBeNull();
  expect(await Bun.file(fifo).text()).toBe("hello\n");
});

test("a file that others may write to is refused where that is asked for", () => {
  const path = file(0o666);
  expect(reasonOf(path)).toBeUndefined();
  expect(reasonOf(path, { ...own, refusedMode: OTHERS_WRITE })).toContain("mode 0666");
});

test.skipIf(!isRoot)(
  "a stranger's file is refused, unless his place was closed to strangers",
  () => {
    const top = join(folder, "pools");
    const below = join(top, "shop");
    mkdirSync(below, { recursive: true });
    const path = join(below, "pool");
    writeFileSync(path, "x");
    chownSync(path, STRANGER, STRANGER);
    const closed = { ...own, folder: top };
    expect(reasonOf(path)).toBe("it belongs to user 65534, not to user 0");
    expect(reasonOf(path, { uids: ownUids(STRANGER) })).toBeUndefined();
    expect(reasonOf(path, closed)).toBeUndefined();
    for (const open of [top, below]) {
      chmodSync(open, 0o1777);
      expect(reasonOf(path, closed)).toContain("65534");
      chmodSync(open, 0o755);
    }
  },
);

test("a socket has its permissions whatever is put into its place meanwhile", async () => {
  const path = join(folder, "socket");
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(path, () => resolve()));
  const inode = lstatSync(path).ino;
  expect(shareSocket(path, 0o640, undefined)).toBe(inode);
  expect(lstatSync(path).mode & 0o777).toBe(0o640);
  expect(ownerOfSocket(path)).toBe(process.getuid!());
  const victim = file(0o600);
  renameSync(path, `${path}.moved`);
  symlinkSync(victim, path);
  expect(() => shareSocket(path, 0o666, undefined)).toThrow("not the socket");
  expect(lstatSync(victim).mode & 0o777).toBe(0o600);
  server.close();
});

test("a file beyond what can be mapped is an error that leaves no mapping behind", () => {
  const path = file();
  const bytes = 2 ** 32 + 4096;
  truncateSync(path, bytes);
  const shared = SharedFile.open(path, false);
  const mappings = () => readFileSync("/proc/self/maps", "utf8").split(path).length - 1;
  for (let i = 0; i < 3; i++) expect(() => shared.map(0, bytes, false)).toThrow();
  expect(mappings()).toBe(0);
  const most = shared.map(0, 2 ** 32, false);
  expect(mappings()).toBe(1);
  most.unmap();
  expect(mappings()).toBe(0);
  shared.close();
  expect(() => Mapping.of(-1, 0, bytes, false, "memory")).toThrow();
});
