// The cable between the two machines. Runs in `two`; agent.sh runs in `one`. `make test-vm-pair`.

import { expect, test } from "bun:test";
import { until } from "../../support/wait.ts";

const ONE = "10.77.0.1";

function isSuccess(...command: string[]): boolean {
  return Bun.spawnSync(command, { stdout: "ignore", stderr: "ignore" }).success;
}

test("the other machine answers", async () => {
  await until(`${ONE} answers`, () => isSuccess("ping", "-c", "1", "-W", "1", ONE));
});

test("the other machine's memory is read over RoCE v2", async () => {
  expect(await Bun.file("/sys/class/infiniband/rxe0/ports/1/gid_attrs/types/1").text()).toBe(
    "RoCE v2\n",
  );
  await until("ib_read_lat reads", () =>
    isSuccess("ib_read_lat", "-d", "rxe0", "-x", "1", "-n", "50", ONE),
  );
});
