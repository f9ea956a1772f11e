// A collector with nothing around it: the transport and the pool reader of every collector, a session, and reads when
// they are asked for. So there can be a hundred, and nothing happens that a test did not ask for.

import type { AgentClient } from "../../../../src/collector/agent-client.ts";
import {
  findSeries,
  PoolReader,
  type RemotePool,
  SNAPSHOT_LEAD_BYTES,
  VerbsTransport,
} from "../../../../src/collector/index.ts";
import { VerbsSession } from "../../../../src/collector/verbs-session.ts";
import { allocateBuffer, type Mapping } from "../../../../src/ffi/index.ts";
import { Gather, planBytes, type Structure } from "../../../../src/layout/index.ts";
import { devicePort, PATIENT } from "./rig.ts";

/** What a snapshot shows. */
export interface Shown {
  structure: Structure;
  values: Float64Array;
}

export class Reader implements Disposable {
  #memory: Mapping | undefined;
  #key: { key: number; release(): void } | undefined;
  readonly #reader: PoolReader;

  private constructor(
    readonly app: string,
    readonly session: VerbsSession,
    readonly transport: VerbsTransport,
    readonly pool: RemotePool,
  ) {
    this.#reader = new PoolReader(transport, pool, () => true, {
      memory: (bytes) => this.#take(bytes),
    });
  }

  /** @param known another's pool, which then need not be asked for */
  static async open(agent: AgentClient, app: string, known?: RemotePool): Promise<Reader> {
    const session = await VerbsSession.open(agent);
    const { port, gid } = devicePort();
    const transport = new VerbsTransport(
      {
        gid: gid!.gid,
        gidIndex: gid!.index,
        lid: port.lid,
        ...PATIENT,
        device: port.device,
        port: port.port,
        session: session.id,
        library: "",
        manager: null,
      },
      (question, done) => {
        agent.ask(question).then(
          (answer) => done(answer, undefined),
          (error: Error) => done(undefined, error.message),
        );
      },
    );
    const pool = known ?? (await find(transport, app));
    const reader = new Reader(app, session, transport, pool);
    await reader.read();
    return reader;
  }

  /** Takes one snapshot. @throws Error when it fails */
  async read(): Promise<Shown> {
    let shown: Shown | Error | undefined;
    this.#reader.snapshot((outcome) => {
      if (outcome.kind !== "taken") {
        shown = outcome.kind === "failed" ? outcome.error : new Error(outcome.kind);
        return;
      }
      const { structure } = outcome;
      const { plan } = structure;
      const values = new Float64Array(structure.valueCount);
      const slots = new Float64Array(
        this.#memory!.buffer,
        SNAPSHOT_LEAD_BYTES,
        planBytes(plan) / 8,
      );
      new Gather(structure).into(slots, values);
      shown = { structure, values };
    });
    while (shown === undefined) {
      this.transport.progress(0);
      if (shown === undefined) await new Promise<void>((resolve) => setImmediate(resolve));
    }
    if (shown instanceof Error) throw shown;
    return shown;
  }

  /** The value of a counter or gauge without labels. */
  async value(service: string, metric: string): Promise<number | undefined> {
    const { structure, values } = await this.read();
    const found = findSeries(structure, { app: this.app, service, metric });
    return found === undefined ? undefined : values[found.index];
  }

  [Symbol.dispose](): void {
    this.transport.close();
    this.session.close();
    this.#memory?.unmap();
  }

  #take(bytes: number) {
    if (this.#memory === undefined || this.#memory.byteLength < bytes) {
      this.#key?.release();
      this.#memory?.unmap();
      this.#memory = allocateBuffer(bytes);
      this.#key = this.transport.pin(this.#memory.address, this.#memory.byteLength);
    }
    return { address: this.#memory.address, bytes: this.#memory.bytes(), key: this.#key!.key };
  }
}

async function find(transport: VerbsTransport, app: string): Promise<RemotePool> {
  const pools = await new Promise<RemotePool[]>((resolve, reject) =>
    transport.list((answer) => (answer instanceof Error ? reject(answer) : resolve(answer))),
  );
  const pool = pools.find((each) => each.app === app);
  if (pool === undefined) throw new Error(`the agent has no ${app}`);
  return pool;
}
