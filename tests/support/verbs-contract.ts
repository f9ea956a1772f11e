// What src/ffi/verbs.ts counts on from an RDMA device, as tests that run twice: with the mocked library on any host,
// and with Soft-RoCE in a machine. So what the mock answers is what a device answers.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  allocateBuffer,
  Device,
  type Domain,
  type QueuePair,
  ReadList,
} from "../../src/ffi/index.ts";
import { until } from "./wait.ts";

export interface DeviceUnderTest {
  name: string;
  gidIndex: number;
  /** Another libibverbs, by path. */
  library?: string;
}

const BYTES = 16_384;
/** Address of the target's first byte. */
const FIRST = 0x1_0000;
const SENDS = 8;
/** `enum ibv_wc_status` */
const OK = 0;
const LOCAL_PROTECTION = 4;
const FLUSHED = 5;
const INVALID = 9;
const NO_ACCESS = 10;
const UNANSWERED = 12;
/** `enum ibv_qp_state` */
const INIT = 1;
const READY = 3;
const BROKEN = 6;

/** A device with memory of its own. */
class End implements Disposable {
  readonly device: Device;
  readonly domain: Domain;
  readonly memory = allocateBuffer(BYTES);
  readonly bytes = new Uint8Array(this.memory.buffer);
  readonly #gidIndex: number;

  constructor({ name, gidIndex, library }: DeviceUnderTest) {
    this.device = Device.open(name, 1, library);
    this.domain = this.device.openDomain();
    this.#gidIndex = gidIndex;
  }

  connect(pair: QueuePair, to: QueuePair, psn: number, remotePsn: number): void {
    pair.connect({
      remoteNumber: to.number,
      remotePsn,
      psn,
      mtu: 1024,
      port: 1,
      gid: this.device.gid(this.#gidIndex),
      gidIndex: this.#gidIndex,
      lid: 0,
      serviceLevel: 0,
      trafficClass: 0,
      // 17 ms, three times: READs that nobody answers fail soon.
      timeout: 12,
      retries: 2,
      readsInitiator: 8,
      readsTarget: 8,
    });
  }

  /** Outcomes of READs, until there are as many: `[id, status]` each. */
  async outcomes(count: number): Promise<[number, number][]> {
    const seen: [number, number][] = [];
    await until(`${count} completions`, () => {
      this.device.completions(({ id, status }) => seen.push([id, status]));
      return seen.length >= count;
    });
    return seen;
  }

  [Symbol.dispose](): void {
    this.device.close();
    this.memory.unmap();
  }
}

interface Read {
  remote: number;
  local: number;
  bytes: number;
  key: number;
}

/** A target with a pattern in its memory, and a reader of it that is connected. */
class Ends implements Disposable {
  readonly target: End;
  readonly reader: End;
  readonly key: number;
  readonly localKey: number;
  readonly targetPair: QueuePair;
  readonly readerPair: QueuePair;

  constructor(under: DeviceUnderTest) {
    this.target = new End(under);
    this.reader = new End(under);
    const { target, reader } = this;
    target.bytes.set(Uint8Array.from({ length: BYTES }, (_, i) => i * 31 + i / 251 + 1));
    this.key = target.domain.register(target.memory.address, BYTES, FIRST).remoteKey;
    this.localKey = reader.domain.register(reader.memory.address, BYTES).localKey;
    this.targetPair = target.domain.queuePair(0);
    this.readerPair = reader.domain.queuePair(SENDS);
    target.connect(this.targetPair, this.readerPair, 0x12_3456, 0xab_cdef);
    reader.connect(this.readerPair, this.targetPair, 0xab_cdef, 0x12_3456);
  }

  at(offset: number, bytes = 8): Read {
    return { remote: FIRST + offset, local: offset, bytes, key: this.key };
  }

  post(id: number, reads: readonly Read[], pair = this.readerPair): void {
    const list = new ReadList(reads.length);
    for (const { remote, local, bytes, key } of reads) list.add(remote, local, bytes, key, false);
    pair.read(list, 0, reads.length, this.reader.memory.address, this.localKey, id);
  }

  /** What a READ between good ones comes to, and the READs after it. */
  async breaksWith(bad: Read, status: number): Promise<void> {
    this.post(1, [this.at(0), bad, this.at(16)]);
    this.post(2, [this.at(24)]);
    const outcomes = await this.reader.outcomes(3);
    expect(outcomes).toEqual([
      [1, status],
      [1, FLUSHED],
      [2, FLUSHED],
    ]);
    expect(this.readerPair.state).toBe(BROKEN);
    this.expectRead(0, 8);
    expect(this.reader.bytes.subarray(8).every((byte) => byte === 0)).toBe(true);
    this.post(3, [this.at(0)]);
    expect(await this.reader.outcomes(1)).toEqual([[3, FLUSHED]]);
  }

  expectRead(offset: number, bytes: number): void {
    const part = (end: End) => end.bytes.slice(offset, offset + bytes);
    expect(part(this.reader)).toEqual(part(this.target));
  }

  [Symbol.dispose](): void {
    this.reader[Symbol.dispose]();
    this.target[Symbol.dispose]();
  }
}

/** Declares the tests. */
export function verbsContract(under: DeviceUnderTest): void {
  describe(`the RDMA device ${under.name}`, () => {
    let ends: Ends;
    beforeEach(() => {
      ends = new Ends(under);
    });
    afterEach(() => ends[Symbol.dispose]());

    test("READs posted together complete as one, with the bytes in place", async () => {
      expect([ends.targetPair.state, ends.readerPair.state]).toEqual([READY, READY]);
      ends.post(7, [ends.at(1, 1), ends.at(8, 8192), ends.at(BYTES - 77, 77)]);
      expect(await ends.reader.outcomes(1)).toEqual([[7, OK]]);
      for (const [offset, bytes] of [
        [1, 1],
        [8, 8192],
        [BYTES - 77, 77],
      ] as const) {
        ends.expectRead(offset, bytes);
      }
      expect(ends.reader.bytes[0]).toBe(0);
      expect(ends.reader.bytes[8200]).toBe(0);
    });

    test("completions come in the order of posting, round after round", async () => {
      for (let round = 0; round < 5; round++) {
        const ids = Array.from({ length: SENDS }, (_, i) => round * SENDS + i);
        for (const id of ids) ends.post(id, [ends.at(8 * id)]);
        expect(await ends.reader.outcomes(SENDS)).toEqual(ids.map((id) => [id, OK]));
      }
      ends.expectRead(0, 8 * 5 * SENDS);
    });

    test("a queue that is full takes no more until what it did is heard", async () => {
      const all = Array.from({ length: SENDS }, (_, i) => ends.at(8 * i));
      ends.post(1, all);
      expect(() => ends.post(2, [ends.at(0)])).toThrow("EWOULDBLOCK");
      expect(await ends.reader.outcomes(1)).toEqual([[1, OK]]);
      ends.post(2, all);
      expect(await ends.reader.outcomes(1)).toEqual([[2, OK]]);
    });

    test("a key that there is not gives nothing", () =>
      ends.breaksWith({ ...ends.at(8), key: 0xdeadbeef }, NO_ACCESS));

    test("bytes before the region give nothing", () =>
      ends.breaksWith({ ...ends.at(8), remote: FIRST - 8 }, NO_ACCESS));

    test("bytes across the region's end give nothing", () =>
      ends.breaksWith({ ...ends.at(8), remote: FIRST + BYTES - 7 }, NO_ACCESS));

    test("the key of another domain gives nothing", () => {
      const { device, memory } = ends.target;
      const { remoteKey } = device.openDomain().register(memory.address, BYTES, FIRST);
      return ends.breaksWith({ ...ends.at(8), key: remoteKey }, NO_ACCESS);
    });

    test("the key of a region that was closed gives nothing", () => {
      const { domain, memory } = ends.target;
      const region = domain.register(memory.address, BYTES, FIRST);
      region.close();
      return ends.breaksWith({ ...ends.at(8), key: region.remoteKey }, NO_ACCESS);
    });

    test("memory that is not for others gives nothing", () => {
      const { domain, memory } = ends.target;
      const { localKey } = domain.register(memory.address, BYTES);
      const remote = memory.address + 8;
      return ends.breaksWith({ ...ends.at(8), remote, key: localKey }, NO_ACCESS);
    });

    test("a READ stores nothing outside of its own region", () =>
      ends.breaksWith({ ...ends.at(8), local: BYTES - 7 }, LOCAL_PROTECTION));

    test("a READ stores nothing in memory that is for others to read", async () => {
      const { domain, memory, bytes } = ends.reader;
      const { localKey } = domain.register(memory.address, BYTES, FIRST);
      const list = new ReadList(1);
      list.add(FIRST, 0, 8, ends.key, false);
      ends.readerPair.read(list, 0, 1, FIRST, localKey, 1);
      expect(await ends.reader.outcomes(1)).toEqual([[1, LOCAL_PROTECTION]]);
      expect(bytes[0]).toBe(0);
    });

    test("a pair that reads answers nobody", async () => {
      const { target, reader } = ends;
      const answering = target.domain.queuePair(1);
      const asking = reader.domain.queuePair(1);
      target.connect(answering, asking, 1, 2);
      reader.connect(asking, answering, 2, 1);
      ends.post(1, [ends.at(0)], asking);
      expect(await reader.outcomes(1)).toEqual([[1, INVALID]]);
    });

    test("a pair that is gone, or connected to another, does not answer", async () => {
      const { reader, targetPair } = ends;
      const other = reader.domain.queuePair(1);
      reader.connect(other, targetPair, 0xab_cdef, 0x12_3456);
      ends.post(1, [ends.at(0)], other);
      expect(await reader.outcomes(1)).toEqual([[1, UNANSWERED]]);
      targetPair.close();
      ends.post(2, [ends.at(0)]);
      expect(await reader.outcomes(1)).toEqual([[2, UNANSWERED]]);
    });

    test("packets are numbered as agreed, or not answered", async () => {
      const { target, reader } = ends;
      const answering = target.domain.queuePair(0);
      const asking = reader.domain.queuePair(1);
      target.connect(answering, asking, 1, 2);
      reader.connect(asking, answering, 7, 1);
      ends.post(1, [ends.at(0)], asking);
      expect(await reader.outcomes(1)).toEqual([[1, UNANSWERED]]);
    });

    test("a pair that is closed in the middle of READs is not heard of again", async () => {
      const { reader, readerPair } = ends;
      ends.post(1, Array(SENDS).fill(ends.at(0, BYTES)));
      readerPair.close();
      const next = reader.domain.queuePair(1);
      reader.connect(next, ends.targetPair, 1, 2);
      ends.post(2, [ends.at(0)], next);
      expect(await reader.outcomes(1)).toEqual([[2, UNANSWERED]]);
    });

    test("what cannot be is refused at once", () => {
      const { target, reader } = ends;
      const pair = reader.domain.queuePair(1);
      expect(pair.state).toBe(INIT);
      expect(() => ends.post(1, [ends.at(0)], pair)).toThrow("EINVAL");
      reader.connect(pair, ends.targetPair, 1, 2);
      expect(() => reader.connect(pair, ends.targetPair, 1, 2)).toThrow("EINVAL");
      expect(() => target.domain.close()).toThrow("EBUSY");
      const gone = allocateBuffer(BYTES);
      gone.unmap();
      expect(() => target.domain.register(gone.address, BYTES, 0)).toThrow("EFAULT");
      expect(() => Device.open(under.name, 2, under.library)).toThrow("EINVAL");
      expect(() => Device.open("nobody", 1, under.library)).toThrow("ENODEV");
    });
  });
}
