// One-sided RDMA as typed objects over c/verbs.h, which says what each call means. rdma-core is loaded when the first
// device is opened; a device and all that was opened on it belong to one thread.

import { check } from "./errno.ts";
import { allocateBuffer } from "./memory.ts";
import { shim } from "./shim.ts";

/** What a device and one of its ports can do. Sizes in bytes. */
interface DeviceFacts {
  maxQueuePairs: number;
  /** Work requests that a queue pair holds. */
  maxSends: number;
  maxCompletions: number;
  /** READs that a queue pair answers at once. */
  maxReadsTarget: number;
  /** READs that a queue pair has under way at once. */
  maxReadsInitiator: number;
  maxRegionBytes: number;
  maxMessageBytes: number;
  portState: number;
  mtu: number;
  lid: number;
  linkLayer: LinkLayer;
}

export type LinkLayer = "InfiniBand" | "Ethernet";

/** What became of a batch of READs. */
export interface Completion {
  id: number;
  /** Of the queue pair. */
  number: number;
  /** `enum ibv_wc_status`; 0 is success. See {@link statusText}. */
  status: number;
  vendorError: number;
}

/** `enum ibv_qp_state` of a queue pair that met an error. */
export const PAIR_BROKEN = 6;

/** `enum ibv_event_type` of events that end something. */
export const DEVICE_FATAL = 8;
/** Fatal, of a bad request, and of refused access. Others of a queue pair tell how it does, as that it was reached. */
export const PAIR_ERRORS: readonly number[] = [1, 2, 3];

/** `enum ibv_wc_status`, as far as READs meet them. */
export const STATUS_REMOTE_ACCESS = 10;
const STATUSES: Readonly<Record<number, string>> = {
  1: "a READ was longer than its memory",
  2: "the queue pair failed",
  4: "the memory for the answer is not registered",
  5: "the READ was given up with its queue pair",
  8: "the answer was not what was asked",
  9: "the agent's device refused the READ as malformed",
  10: "the agent's device refused access to this memory",
  11: "the agent's device could not answer",
  12: "the agent's device does not answer",
  13: "the agent's device is not ready, again and again",
  21: "the device is gone or broken",
};

export function statusText({ status, vendorError }: Completion): string {
  const text = STATUSES[status] ?? "the READ failed";
  return `${text} (status ${status}${vendorError === 0 ? "" : `, vendor error ${vendorError}`})`;
}

/** How two queue pairs find each other; see struct mv_path. */
interface Path {
  remoteNumber: number;
  remotePsn: number;
  psn: number;
  mtu: number;
  port: number;
  /** The other side's, 32 hexadecimal digits; empty where it is addressed by LID alone. */
  gid: string;
  /** Index of our own GID. */
  gidIndex: number;
  lid: number;
  serviceLevel: number;
  trafficClass: number;
  /** Acknowledgement timeout as the exponent of 4.096 µs · 2^n. */
  timeout: number;
  retries: number;
  readsInitiator: number;
  readsTarget: number;
}

const PATH_BYTES = 76;
const HOP_LIMIT = 64;
const FACT_COUNT = 11;

const outHandle = new BigUint64Array(1);
const outWords = new Uint32Array(2);

function text0(text: string): never {
  return Buffer.from(`${text}\0`) as never;
}

/**
 * Loads rdma-core, unless it is loaded.
 * @param library another implementation of libibverbs, by path
 * @throws SystemError ENOENT when this host has none, ELIBBAD when it lacks a function
 */
export function loadVerbs(library = ""): void {
  check(shim().mv_verbs_load(text0(library)), "cannot load rdma-core (libibverbs.so.1)");
}

/** An opened RDMA device. */
export class Device {
  static readonly #COMPLETIONS = 256;
  static readonly #COMPLETION_BYTES = 24;
  readonly #memory = allocateBuffer(Device.#COMPLETIONS * Device.#COMPLETION_BYTES);
  readonly #view = new DataView(this.#memory.buffer);

  private constructor(
    readonly name: string,
    readonly port: number,
    readonly handle: number,
    readonly facts: DeviceFacts,
    /** Readable when a completion or an event waits. */
    readonly fd: number,
  ) {}

  /** @throws SystemError when rdma-core or the device is not there */
  static open(name: string, port: number, library = ""): Device {
    loadVerbs(library);
    const out = new Float64Array(FACT_COUNT);
    check(
      shim().mv_device_open(text0(name), port, outHandle as never, out as never),
      `cannot open the RDMA device ${name}, port ${port}`,
    );
    const handle = Number(outHandle[0]);
    return new Device(name, port, handle, factsFrom(out), shim().mv_device_fd(handle as never));
  }

  /** One of the port's addresses, as 32 hexadecimal digits. */
  gid(index: number): string {
    const bytes = new Uint8Array(16);
    check(
      shim().mv_device_gid(this.handle as never, this.port, index, bytes as never),
      `${this.name} has no GID ${index}`,
    );
    return bytes.toHex();
  }

  /** The next asynchronous event, with the number of its queue pair or port; undefined when none waits. */
  event(): { type: number; number: number } | undefined {
    const status = check(
      shim().mv_device_event(this.handle as never, outWords as never),
      `cannot ask ${this.name} for events`,
    );
    return status === 0 ? undefined : { type: outWords[0]!, number: outWords[1]! };
  }

  openDomain(): Domain {
    check(
      shim().mv_domain_open(this.handle as never, outHandle as never),
      `cannot open a protection domain on ${this.name}`,
    );
    return new Domain(this, Number(outHandle[0]));
  }

  /** Hands over what has completed, and says how many that were. */
  completions(take: (completion: Completion) => void): number {
    return this.#take(shim().mv_device_completions, take);
  }

  /** As {@link completions} without a system call; the descriptor stays readable. For spinning. */
  poll(take: (completion: Completion) => void): number {
    return this.#take(shim().mv_device_poll, take);
  }

  /** Closes it, and whatever is still open on it. */
  close(): void {
    shim().mv_device_close(this.handle as never);
    this.#memory.unmap();
  }

  #take(
    call: ReturnType<typeof shim>["mv_device_poll"],
    take: (completion: Completion) => void,
  ): number {
    const { address } = this.#memory;
    for (let total = 0; ; ) {
      const count = call(this.handle as never, address as never, Device.#COMPLETIONS);
      if (count < 0) check(count, `cannot ask ${this.name} for completions`);
      total += count;
      if (count === 1) {
        take(this.#completion(0));
      } else if (count > 1) {
        // Handlers may ask again, so what is there is taken down first.
        const taken: Completion[] = [];
        for (let i = 0; i < count; i++) taken.push(this.#completion(i * Device.#COMPLETION_BYTES));
        for (const each of taken) take(each);
      }
      if (count < Device.#COMPLETIONS) return total;
    }
  }

  #completion(at: number): Completion {
    return {
      id: this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 0x1_0000_0000,
      number: this.#view.getUint32(at + 8, true),
      status: this.#view.getUint32(at + 12, true),
      vendorError: this.#view.getUint32(at + 16, true),
    };
  }
}

function factsFrom(out: Float64Array): DeviceFacts {
  const at = (index: number) => out[index]!;
  return {
    maxQueuePairs: at(0),
    maxSends: at(1),
    maxCompletions: at(2),
    maxReadsTarget: at(3),
    maxReadsInitiator: at(4),
    maxRegionBytes: at(5),
    maxMessageBytes: at(6),
    portState: at(7),
    mtu: at(8),
    lid: at(9),
    linkLayer: at(10) === 1 ? "InfiniBand" : "Ethernet",
  };
}

/** Regions and queue pairs of one domain reach each other; nothing reaches across domains. */
export class Domain {
  constructor(
    readonly device: Device,
    readonly handle: number,
  ) {}

  /**
   * Pins memory and registers it.
   * @param first address by which others read it; undefined for memory that own READs fill
   * @throws SystemError ENOMEM when the memory-lock limit does not allow it
   */
  register(address: number, bytes: number, first?: number): Region {
    check(
      shim().mv_region_register(
        this.handle as never,
        address as never,
        bytes,
        first ?? address,
        first === undefined ? 0 : 1,
        outHandle as never,
        outWords as never,
      ),
      `cannot register ${bytes} bytes with ${this.device.name}`,
    );
    return new Region(Number(outHandle[0]), bytes, outWords[0]!, outWords[1]!);
  }

  /** @param sends READs that it posts at most; 0 for an end that only answers */
  queuePair(sends: number): QueuePair {
    const { device } = this;
    check(
      shim().mv_queue_pair_create(
        device.handle as never,
        this.handle as never,
        device.port,
        sends,
        outHandle as never,
        outWords as never,
      ),
      `cannot create a queue pair on ${device.name}`,
    );
    return new QueuePair(device.name, Number(outHandle[0]), outWords[0]!);
  }

  close(): void {
    check(shim().mv_domain_close(this.handle as never), "cannot close a protection domain");
  }
}

/** Registered memory. */
export class Region {
  constructor(
    readonly handle: number,
    readonly bytes: number,
    readonly localKey: number,
    readonly remoteKey: number,
  ) {}

  close(): void {
    check(shim().mv_region_close(this.handle as never), "cannot deregister memory");
  }
}

/** One end of a reliable connection. */
export class QueuePair {
  constructor(
    readonly deviceName: string,
    readonly handle: number,
    readonly number: number,
  ) {}

  /** Makes it ready to receive and to send. */
  connect(path: Path): void {
    const bytes = new Uint8Array(PATH_BYTES);
    const view = new DataView(bytes.buffer);
    const words = [
      path.remoteNumber,
      path.remotePsn,
      path.psn,
      path.mtu,
      path.port,
      path.gid === "" ? 0 : 1,
      path.gidIndex,
      path.lid,
      path.serviceLevel,
      path.trafficClass,
      HOP_LIMIT,
      path.timeout,
      path.retries,
      path.readsInitiator,
      path.readsTarget,
    ];
    for (const [i, word] of words.entries()) view.setUint32(i * 4, word, true);
    if (path.gid !== "") bytes.set(Uint8Array.fromHex(path.gid), words.length * 4);
    check(
      shim().mv_queue_pair_connect(this.handle as never, bytes as never),
      `cannot connect a queue pair of ${this.deviceName}`,
    );
  }

  /** `enum ibv_qp_state`, as the device says. @throws SystemError when it does not */
  get state(): number {
    const state = shim().mv_queue_pair_state(this.handle as never);
    return check(state, `cannot ask for the state of a queue pair of ${this.deviceName}`);
  }

  /**
   * Posts some READs of a list; the last of them completes with `id`, any that fails too.
   * @param base address that the list's local offsets count from, in memory registered under `localKey`
   * @throws SystemError after which the queue pair is of no use
   */
  read(
    list: ReadList,
    first: number,
    count: number,
    base: number,
    localKey: number,
    id: number,
  ): void {
    const status = shim().mv_queue_pair_read(
      this.handle as never,
      list.bytes as never,
      first,
      count,
      base,
      localKey,
      id,
    );
    if (status < 0) check(status, `cannot post READs on ${this.deviceName}`);
  }

  close(): void {
    shim().mv_queue_pair_close(this.handle as never);
  }
}

/** READs that are posted together again and again: an array of struct mv_read. */
export class ReadList {
  static readonly #BYTES = 32;
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  #count = 0;

  /** @param capacity the most READs that it will hold */
  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity * ReadList.#BYTES);
    this.#view = new DataView(this.bytes.buffer);
  }

  get count(): number {
    return this.#count;
  }

  /**
   * @param remote address at the other side, in the region of `remoteKey`
   * @param local offset from the base that is given when it is posted
   * @param fence waits until the READs before it have completed
   */
  add(remote: number, local: number, bytes: number, remoteKey: number, fence: boolean): void {
    const at = this.#count++ * ReadList.#BYTES;
    this.#view.setBigUint64(at, BigInt(remote), true);
    this.#view.setBigUint64(at + 8, BigInt(local), true);
    this.#view.setUint32(at + 16, bytes, true);
    this.#view.setUint32(at + 20, remoteKey, true);
    this.#view.setUint32(at + 24, fence ? 1 : 0, true);
  }
}
