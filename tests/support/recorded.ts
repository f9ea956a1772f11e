// What services have recorded, read out of their rings' files: all events, the bytes themselves, and what operators ask
// for, stored as the agent stores it.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { SharedFile } from "../../src/ffi/index.ts";
import {
  decodeRingHeader,
  RING_HEADER_BYTES,
  RING_SHIPPER,
  type RingEvent,
} from "../../src/layout/index.ts";
import type { TestHost } from "./host.ts";
import { readAll, readerOf } from "./rings.ts";

export class Recorded {
  constructor(
    readonly host: TestHost,
    readonly app = "shop",
  ) {}

  get paths(): string[] {
    const folder = join(this.host.poolDir, this.app);
    return readdirSync(folder)
      .filter((name) => name.startsWith("events."))
      .map((name) => join(folder, name));
  }

  /** All events, of all rings, as they are at this moment. */
  get events(): RingEvent[] {
    return this.paths.flatMap((path) => readAll(readerOf(new Uint8Array(readFileSync(path)))));
  }

  of<Kind extends RingEvent["kind"]>(kind: Kind): (RingEvent & { kind: Kind })[] {
    return this.events.filter((event): event is RingEvent & { kind: Kind } => event.kind === kind);
  }

  get messages(): string[] {
    return this.of("log").map(({ message }) => message);
  }

  /** The files themselves. */
  get text(): string {
    return this.paths.map((path) => readFileSync(path, "latin1")).join("");
  }

  /** @param level as the control page has it: 0 unset, else the index in LEVELS and one, 7 off */
  ask(level: number): void {
    for (const path of this.paths) {
      const file = SharedFile.open(path, true);
      this.host.onEnd(() => file.close());
      const { bytes } = file.stat();
      const { shipperOffset } = decodeRingHeader(file.head(RING_HEADER_BYTES), bytes);
      const words = new Uint32Array(file.map(0, bytes, true).buffer);
      words[(shipperOffset + RING_SHIPPER.level) / 4] = level;
    }
  }
}
