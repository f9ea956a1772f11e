// A collector that does what no collector of ours does: it sets queue pairs up as the agent's REST interface says, and
// then asks the agent's device for whatever it likes.

import { read as peek, toArrayBuffer } from "bun:ffi";
import type { AgentClient } from "../../../../src/collector/agent-client.ts";
import { VerbsSession } from "../../../../src/collector/verbs-session.ts";
import {
  allocateBuffer,
  Device,
  type Domain,
  type QueuePair,
  ReadList,
  type Region,
} from "../../../../src/ffi/index.ts";
import type { QueuePairResponse } from "../../../../src/rest/index.ts";
import { call } from "../../../support/calls.ts";
import { until } from "../../../support/wait.ts";
import { DEVICE, devicePort } from "./rig.ts";

const MEMORY_BYTES = 1 << 20;
const PSN = 1;

/** `enum ibv_wr_opcode`. */
export const OPCODE = { write: 0, read: 4, swap: 5, add: 6 } as const;
/** `enum ibv_wc_status`. */
export const STATUS = {
  success: 0,
  flushed: 5,
  invalidRequest: 9,
  remoteAccess: 10,
  unanswered: 12,
} as const;

/** Where struct mv_queue_pair keeps its work requests (c/verbs.c), and struct ibv_send_wr what it asks for. */
const REQUESTS = 64;
const REQUEST = { pieces: 24, opcode: 28, atomicKey: 64 } as const;

export class Intruder implements AsyncDisposable {
  readonly device = Device.open(DEVICE, 1);
  readonly domain: Domain = this.device.openDomain();
  readonly memory = allocateBuffer(MEMORY_BYTES);
  readonly region: Region = this.domain.register(this.memory.address, MEMORY_BYTES);
  readonly #completed = new Map<number, number>();
  #nextId = 1;

  private constructor(
    readonly agent: AgentClient,
    readonly session: VerbsSession,
  ) {}

  static async open(agent: AgentClient): Promise<Intruder> {
    return new Intruder(agent, await VerbsSession.open(agent));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.session.close();
    this.device.close();
    this.memory.unmap();
    return Promise.resolve();
  }

  /** A queue pair that may read an application. @throws Error with what the agent says */
  async connect(app: string): Promise<Link> {
    const { endpoint, pools } = await call(this.agent, "GET /v1/rdma", {});
    const pool = pools.find((each) => each.app === app);
    const queuePair = this.domain.queuePair(16);
    const { gid, index: gidIndex } = devicePort().gid!;
    let answer: QueuePairResponse;
    try {
      answer = await call(
        this.agent,
        "POST /v1/rdma/queue-pairs",
        {},
        {
          session: this.session.id,
          app,
          poolId: pool?.poolId ?? 0,
          number: queuePair.number,
          psn: PSN,
          linkLayer: endpoint!.linkLayer,
          gid,
          lid: 0,
          mtu: 4096,
          reads: 16,
        },
      );
    } catch (error) {
      queuePair.close();
      throw error;
    }
    queuePair.connect({
      remoteNumber: answer.number,
      remotePsn: answer.psn,
      psn: PSN,
      mtu: answer.mtu,
      port: 1,
      gid: answer.gid,
      gidIndex,
      lid: 0,
      serviceLevel: 0,
      trafficClass: 0,
      // 0.3 s, twice: long enough for an answer, if there is one to come.
      timeout: 16,
      retries: 1,
      readsInitiator: answer.reads,
      readsTarget: 1,
    });
    return new Link(this, queuePair, answer);
  }

  /** What becomes of a work request, as its status. */
  async outcome(post: (id: number) => void): Promise<number> {
    const id = this.#nextId++;
    post(id);
    const status = await until("the request completes", () => {
      this.device.completions(({ id, status }) => this.#completed.set(id, status));
      return this.#completed.get(id);
    });
    return status;
  }
}

/** One of its queue pairs. */
export class Link {
  constructor(
    readonly intruder: Intruder,
    readonly queuePair: QueuePair,
    readonly answer: QueuePairResponse,
  ) {}

  /** READs memory of the agent. @returns the status */
  read(offset: number | bigint, bytes: number, key: number): Promise<number> {
    const { memory, region } = this.intruder;
    const list = new ReadList(1);
    list.add(0, 0, bytes, key, false);
    // Addresses of an intruder need not be numbers that ours are.
    new DataView(list.bytes.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(offset)), true);
    return this.intruder.outcome((id) =>
      this.queuePair.read(list, 0, 1, memory.address, region.localKey, id),
    );
  }

  /**
   * Asks for something else than to READ: the shim posts nothing else, so what its request says is changed beneath it.
   * @returns the status
   */
  ask(opcode: number, offset: number, bytes: number, key: number): Promise<number> {
    const requests = peek.ptr(this.queuePair.handle as never, REQUESTS);
    // The structures are not what they were when this was written.
    if (
      peek.u32(requests as never, REQUEST.opcode) !== OPCODE.read ||
      peek.i32(requests as never, REQUEST.pieces) !== 1
    ) {
      throw new Error("struct mv_queue_pair has changed: see REQUESTS");
    }
    poke(requests + REQUEST.opcode, opcode);
    poke(requests + REQUEST.atomicKey, key);
    return this.read(offset, bytes, key);
  }
}

function poke(address: number, value: number): void {
  new DataView(toArrayBuffer(address as never, 0, 4)).setUint32(0, value, true);
}
