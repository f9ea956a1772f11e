/// <reference path="./native.d.ts" />
// Loads c/shim.c's library, from a memfd so that nothing is left on disk and a noexec /tmp does not matter.
// The library comes as text, which bundlers carry along: a file beside the bundle would be looked for elsewhere, or
// not be there at all (docs/decisions/0031).

import { dlopen, type FFIFunction, type Library } from "bun:ffi";
import { readFileSync } from "node:fs";
import libraryText from "../../build/shim.base64" with { type: "text" };
import { LAYOUT_VERSION } from "../layout/index.ts";
import { MemoryFile } from "./memory-file.ts";
import { misfit, ShimError } from "./misfit.ts";

const SYMBOLS = {
  mv_layout_version: { args: [], returns: "u32" },
  mv_open: { args: ["cstring", "i32", "i32"], returns: "i32" },
  mv_close: { args: ["i32"], returns: "i32" },
  mv_truncate: { args: ["i32", "u64"], returns: "i32" },
  mv_allocate: { args: ["i32", "u64", "u64"], returns: "i32" },
  mv_link: { args: ["i32", "cstring"], returns: "i32" },
  mv_stat: { args: ["i32", "ptr"], returns: "i32" },
  mv_map: { args: ["i32", "u64", "u64", "i32", "ptr"], returns: "i32" },
  mv_unmap: { args: ["ptr", "u64"], returns: "i32" },
  mv_copy: { args: ["ptr", "ptr", "u64"], returns: "void" },
  mv_lock: { args: ["i32", "u64", "u64"], returns: "i32" },
  mv_unlock: { args: ["i32", "u64", "u64"], returns: "i32" },
  mv_locked: { args: ["i32", "u64", "u64"], returns: "i32" },
  mv_writer_open: { args: ["i32"], returns: "ptr" },
  mv_writer_map: { args: ["ptr", "u64", "u64", "ptr"], returns: "i32" },
  mv_writer_close: { args: ["ptr"], returns: "void" },
  mv_forks: { args: [], returns: "u32" },
  mv_monotonic_ns: { args: [], returns: "f64" },
  mv_unix_ms: { args: [], returns: "f64" },
  mv_ticks: { args: [], returns: "f64" },
  mv_ticks_per_ms: { args: [], returns: "f64" },
  mv_timer_slack_ns: { args: ["u64"], returns: "i32" },
  mv_sleep_until_ns: { args: ["f64"], returns: "void" },
  mv_tcp_listen: { args: ["cstring", "i32", "i32"], returns: "i32" },
  mv_tcp_connect: { args: ["cstring", "i32"], returns: "i32" },
  mv_accept: { args: ["i32"], returns: "i32" },
  mv_socket_error: { args: ["i32"], returns: "i32" },
  mv_local_port: { args: ["i32"], returns: "i32" },
  mv_local_user: { args: ["i32", "ptr"], returns: "i64" },
  mv_hang_up: { args: ["i32"], returns: "i32" },
  mv_peer: { args: ["i32", "ptr", "u32"], returns: "i32" },
  mv_recv: { args: ["i32", "ptr", "u64", "u64"], returns: "i64" },
  mv_send: { args: ["i32", "ptr", "u64", "u64"], returns: "i64" },
  mv_sendv: { args: ["i32", "ptr", "u32", "u32"], returns: "i64" },
  mv_pipe: { args: ["ptr"], returns: "i32" },
  mv_eventfd: { args: [], returns: "i32" },
  mv_event_set: { args: ["i32"], returns: "i32" },
  mv_event_clear: { args: ["i32"], returns: "i32" },
  mv_landlock_version: { args: [], returns: "i32" },
  mv_confine: { args: ["ptr", "u32"], returns: "i32" },
  mv_execute: { args: ["cstring", "ptr", "u32", "i32"], returns: "i32" },
  mv_limit_growth: { args: ["u64"], returns: "i32" },
  mv_verbs_load: { args: ["cstring"], returns: "i32" },
  mv_device_open: { args: ["cstring", "u32", "ptr", "ptr"], returns: "i32" },
  mv_device_fd: { args: ["ptr"], returns: "i32" },
  mv_device_gid: { args: ["ptr", "u32", "u32", "ptr"], returns: "i32" },
  mv_device_event: { args: ["ptr", "ptr"], returns: "i32" },
  mv_device_completions: { args: ["ptr", "ptr", "u32"], returns: "i32" },
  mv_device_poll: { args: ["ptr", "ptr", "u32"], returns: "i32" },
  mv_device_close: { args: ["ptr"], returns: "i32" },
  mv_domain_open: { args: ["ptr", "ptr"], returns: "i32" },
  mv_domain_close: { args: ["ptr"], returns: "i32" },
  mv_region_register: {
    args: ["ptr", "ptr", "u64", "u64", "i32", "ptr", "ptr"],
    returns: "i32",
  },
  mv_region_close: { args: ["ptr"], returns: "i32" },
  mv_queue_pair_create: { args: ["ptr", "ptr", "u32", "u32", "ptr", "ptr"], returns: "i32" },
  mv_queue_pair_connect: { args: ["ptr", "ptr"], returns: "i32" },
  mv_queue_pair_read: {
    args: ["ptr", "ptr", "u32", "u32", "u64", "u32", "u64"],
    returns: "i32",
  },
  mv_queue_pair_state: { args: ["ptr"], returns: "i32" },
  mv_queue_pair_close: { args: ["ptr"], returns: "i32" },
  mv_device_watch: { args: ["ptr", "i32"], returns: "i32" },
  mv_cm_load: { args: ["cstring"], returns: "i32" },
  mv_cm_open: { args: ["ptr"], returns: "i32" },
  mv_cm_fd: { args: ["ptr"], returns: "i32" },
  mv_cm_event: { args: ["ptr", "ptr"], returns: "i32" },
  mv_cm_listen: { args: ["ptr", "cstring", "u32", "u32", "ptr"], returns: "i32" },
  mv_cm_resolve: { args: ["ptr", "cstring", "u32", "u32", "ptr"], returns: "i32" },
  mv_cm_connect: {
    args: ["ptr", "ptr", "u32", "u32", "u32", "u32", "ptr", "u32"],
    returns: "i32",
  },
  mv_cm_accept: { args: ["ptr", "ptr", "u32", "u32", "ptr", "u32"], returns: "i32" },
  mv_cm_reject: { args: ["ptr", "ptr", "u32"], returns: "i32" },
  mv_cm_link_close: { args: ["ptr"], returns: "i32" },
  mv_cm_close: { args: ["ptr"], returns: "i32" },
  mv_poll_until_ns: { args: ["ptr", "u32", "f64"], returns: "i32" },
} as const satisfies Record<string, FFIFunction>;

type Shim = Library<typeof SYMBOLS>["symbols"];

let loaded: Shim | ShimError | undefined;

/**
 * The shim's functions; loaded at the first call.
 * @throws ShimError when this system cannot load it, saying why and what to do
 */
export function shim(): Shim {
  loaded ??= load();
  if (loaded instanceof ShimError) throw loaded;
  return loaded;
}

const REBUILD = "run `make shim` in microview's folder, on a system like this one";

function load(): Shim | ShimError {
  const { platform, arch: architecture } = process;
  try {
    const library = Bun.gunzipSync(Buffer.from(libraryText, "base64"));
    return misfit(library, { platform, architecture, isMusl: isMusl() }) ?? loadFrom(library);
  } catch (error) {
    if (error instanceof ShimError) return error;
    const { message } = error as Error;
    return new ShimError(`the native part of microview cannot be loaded: ${message}`, REBUILD);
  }
}

/** Whether this process runs on musl, whatever else is installed beside it. */
function isMusl(): boolean {
  try {
    return readFileSync("/proc/self/maps", "latin1").includes("/ld-musl-");
  } catch {
    return false;
  }
}

function loadFrom(library: Uint8Array): Shim {
  const file = MemoryFile.create("microview-shim");
  try {
    file.write(library);
    const { symbols } = dlopen(file.path, SYMBOLS);
    const version = symbols.mv_layout_version();
    if (version === LAYOUT_VERSION) return symbols;
    throw new ShimError(
      `the native part of microview has layout version ${version}, not ${LAYOUT_VERSION}`,
      REBUILD,
    );
  } finally {
    file.close();
  }
}
