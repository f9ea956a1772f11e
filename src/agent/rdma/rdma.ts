// The agent's end of RDMA: one device, and per application and token a protection domain with the pool's memory in it.
// Collectors set up queue pairs through REST and hold them by a session; after that their READs need nobody here.

import { existsSync } from "node:fs";
import { RDMA_SESSION_PATH } from "../../calling/index.ts";
import {
  chooseRdmaPort,
  DEVICE_FATAL,
  Device,
  type Domain,
  listRdmaPorts,
  NoRdmaPortError,
  openableAt,
  PAIR_BROKEN,
  PAIR_ERRORS,
  type QueuePair,
  RDMA_SYSFS,
  type RdmaPortSpec,
  SystemError,
} from "../../ffi/index.ts";
import { type Grant, LOCAL, type Log } from "../../guard/index.ts";
import type {
  QueuePairRequest,
  QueuePairResponse,
  RdmaEndpoint,
  RegionsResponse,
} from "../../rest/index.ts";
import { AgentError, LimitError } from "../errors.ts";
import type { Pool } from "../pool/pool.ts";
import type { Application } from "../registry/application.ts";
import { ManagerDoor } from "./manager.ts";
import { RegisteredPool } from "./registered-pool.ts";

export interface RdmaOptions {
  /** "auto" takes the first active port; with no port at all the agent goes on without RDMA. */
  port: RdmaPortSpec | "auto";
  /** Largest path MTU in bytes; the port's own when it is lower. */
  mtu: number;
  /** Queue pairs that the collectors of one token may have. */
  queuePairs: number;
  /** Listens by the RDMA connection manager too, at an IP address. */
  manager?: { host: string; port: number };
  /** Another libibverbs, and where devices are listed; for tests. */
  source?: { library: string; sysfs: string; manager?: string };
}

interface RdmaEvents {
  /** A queue pair was ended because of what its collector did, or tried to do. */
  refused(): void;
  /** Somebody came by rdma_cm whom nobody expects, or not there. */
  strange(code: string, remote: string): void;
}

/** A queue pair of a collector. */
export interface Pair {
  readonly id: number;
  readonly session: Session;
  readonly domain: AppDomain;
  readonly queuePair: QueuePair;
  readonly remoteNumber: number;
  readonly openedAtMs: number;
}

interface AppDomain {
  readonly key: string;
  readonly domain: Domain;
  readonly registered: RegisteredPool;
  pairs: number;
}

/** What a collector holds: when its connection ends, so do its queue pairs. */
export interface Session {
  readonly id: string;
  readonly grant: Grant;
  readonly pairs: Set<Pair>;
  /** Tells the collector that it is over. */
  end: () => void;
}

/** Of a queue pair that only answers, timeouts and retries are never used. */
const TARGET_TIMEOUT = 14;
const TARGET_RETRIES = 7;
/** How often a device that has gone is looked for. */
const REOPEN_INTERVAL_MS = 2_000;
/** Queue pairs that are asked for their state in a scan, in turn: it may take a device some microseconds each. */
const PAIRS_PER_SCAN = 64;
const PSN_MASK = 0xff_ffff;

export class Rdma {
  #device: Device | undefined;
  #door: ManagerDoor | undefined;
  /** Is there as long as nobody removes the device; undefined where that cannot be told. */
  #openableAt: string | undefined;
  #endpoint: RdmaEndpoint | undefined;
  #gidIndex = 0;
  #reason = "";
  /** One that was never there is not looked for. */
  #reopenAtMs = Number.POSITIVE_INFINITY;
  readonly #domains = new Map<string, AppDomain>();
  readonly #pairs = new Map<number, Pair>();
  readonly #sessions = new Map<string, Session>();
  #nextId = 1;
  /** The last one whose state was asked for. */
  #lastAsked = 0;
  #warnedOfLimit = false;

  constructor(
    readonly options: RdmaOptions,
    readonly log: Log,
    readonly events: RdmaEvents,
  ) {
    this.#open();
    if (this.#endpoint === undefined) {
      const severity = options.port === "auto" ? "info" : "warn";
      log[severity]("collectors cannot read by RDMA, but over TCP", { reason: this.#reason });
    }
  }

  /** How collectors reach it, or undefined when it cannot be reached; see {@link reason}. */
  get endpoint(): RdmaEndpoint | undefined {
    return this.#endpoint;
  }

  get reason(): string {
    return this.#reason;
  }

  get pairs(): Iterable<Pair> {
    return this.#pairs.values();
  }

  get pairCount(): number {
    return this.#pairs.size;
  }

  get pinnedBytes(): number {
    let bytes = 0;
    for (const { registered } of this.#domains.values()) bytes += registered.pinnedBytes;
    return bytes;
  }

  /** Queue pairs that a grant may know of: those of its own token, and all on this host's socket. */
  pairsOf(grant: Grant): Pair[] {
    return [...this.pairs].filter(
      ({ session }) => grant === LOCAL || grant.name === session.grant.name,
    );
  }

  /** @throws LimitError when the token has as many sessions as it may have queue pairs */
  openSession(grant: Grant): Session {
    this.#ready();
    const others = [...this.#sessions.values()].filter((each) => each.grant.name === grant.name);
    this.#checkLimit(others.length, "sessions", grant);
    const id = crypto.randomUUID();
    const session: Session = { id, grant, pairs: new Set(), end: () => {} };
    this.#sessions.set(id, session);
    return session;
  }

  /** Ends a session and its queue pairs. */
  closeSession(session: Session): void {
    this.#sessions.delete(session.id);
    for (const pair of [...session.pairs]) this.#close(pair);
  }

  /** Ends the sessions of grants that are worth nothing any more. */
  endSessions(isOver: (grant: Grant) => boolean): void {
    for (const session of [...this.#sessions.values()]) {
      if (!isOver(session.grant)) continue;
      this.log.info("an RDMA session ends: its token is gone, has other rights or has expired", {
        token: session.grant.name,
      });
      this.closeSession(session);
      session.end();
    }
  }

  /**
   * A queue pair for a collector, connected to the collector's.
   * @throws AgentError, LimitError
   */
  connect(application: Application, grant: Grant, request: QueuePairRequest): QueuePairResponse {
    const { device, endpoint } = this.#ready();
    const { pool } = application;
    const session = this.#session(request.session, grant);
    if (request.poolId !== pool.header.poolId) {
      throw new AgentError("other-pool", "the pool is another by now", "GET /v1/rdma again", 409);
    }
    if (request.linkLayer !== endpoint.linkLayer) {
      throw new AgentError(
        "other-fabric",
        `this agent is on ${endpoint.linkLayer}, the collector on ${request.linkLayer}`,
        "choose devices of one fabric: --rdma DEVICE:PORT on both sides",
        409,
      );
    }
    const held = [...this.#pairs.values()].filter(
      (each) => each.session.grant.name === grant.name,
    ).length;
    this.#checkLimit(held, "queue pairs", grant);
    const door = request.manager === true ? this.#managerDoor() : undefined;
    const domain = this.#domainFor(device, pool, grant);
    let queuePair: QueuePair | undefined;
    try {
      const regions = this.#sync(domain.registered);
      queuePair = domain.domain.queuePair(0);
      const psn = Math.floor(Math.random() * PSN_MASK);
      const mtu = Math.min(request.mtu, endpoint.mtu);
      const reads = Math.min(request.reads, device.facts.maxReadsTarget);
      if (door === undefined) {
        queuePair.connect({
          remoteNumber: request.number,
          remotePsn: request.psn,
          psn,
          mtu,
          port: device.port,
          gid: request.gid,
          gidIndex: this.#gidIndex,
          lid: request.lid,
          serviceLevel: 0,
          trafficClass: 0,
          timeout: TARGET_TIMEOUT,
          retries: TARGET_RETRIES,
          readsInitiator: 1,
          readsTarget: reads,
        });
      }
      const pair: Pair = {
        id: this.#nextId++,
        session,
        domain,
        queuePair,
        remoteNumber: request.number,
        openedAtMs: Date.now(),
      };
      domain.pairs++;
      session.pairs.add(pair);
      this.#pairs.set(pair.id, pair);
      const { gid, lid } = endpoint;
      const answer = { id: pair.id, number: queuePair.number, psn, gid, lid, mtu, reads, regions };
      if (door === undefined) return answer;
      const ticket = door.expect(queuePair, reads, () => this.#close(pair));
      return { ...answer, manager: { port: door.port, ticket } };
    } catch (error) {
      queuePair?.close();
      if (domain.pairs === 0) this.#closeDomain(domain);
      throw asAgentError(error);
    }
  }

  #managerDoor(): ManagerDoor {
    if (this.#door !== undefined) return this.#door;
    throw new AgentError(
      "no-rdma-cm",
      "this agent does not listen by rdma_cm",
      "start it with --rdma-cm-port, or collect without --rdma-cm",
      409,
    );
  }

  /** What a queue pair may read by now. @throws AgentError 404 for one that is not the caller's */
  regions(id: number, grant: Grant): RegionsResponse {
    try {
      return { regions: this.#sync(this.#pair(id, grant).domain.registered) };
    } catch (error) {
      throw asAgentError(error);
    }
  }

  /** @throws AgentError 404 for one that is not the caller's */
  disconnect(id: number, grant: Grant): void {
    this.#close(this.#pair(id, grant));
  }

  /** Lets go of a pool before its memory goes. */
  drop(pool: Pool): void {
    for (const pair of [...this.#pairs.values()]) {
      if (pair.domain.registered.pool === pool) this.#close(pair);
    }
  }

  /** Takes note of what the device tells, and lets go of memory that is not in use any more. */
  scan(nowMs = Date.now()): void {
    this.#door?.look(nowMs);
    if (this.#device === undefined) {
      if (nowMs < this.#reopenAtMs) return;
      this.#reopenAtMs = nowMs + REOPEN_INTERVAL_MS;
      this.#open();
      return;
    }
    // Soft-RoCE tells nobody that it is to be removed, and waits.
    if (this.#openableAt !== undefined && !existsSync(this.#openableAt)) {
      return this.#lost("the device was removed");
    }
    try {
      for (let event = this.#device.event(); event !== undefined; event = this.#device.event()) {
        if (event.type === DEVICE_FATAL) return this.#lost("the device failed or was removed");
        const { type, number } = event;
        if (!PAIR_ERRORS.includes(type)) continue;
        for (const pair of this.#pairs.values()) {
          if (pair.queuePair.number === number) this.#failed(pair, { event: type });
        }
      }
      this.#findBroken();
    } catch (error) {
      return this.#lost((error as Error).message);
    }
    for (const { registered } of this.#domains.values()) {
      try {
        if (registered.trim(nowMs)) registered.pool.notify();
      } catch (error) {
        this.#warnOfLimit(error as Error);
      }
    }
  }

  close(): void {
    this.#letGo("the agent stops");
  }

  #letGo(reason: string): void {
    for (const session of [...this.#sessions.values()]) {
      this.closeSession(session);
      session.end();
    }
    this.#door?.close();
    this.#door = undefined;
    this.#device?.close();
    this.#device = undefined;
    this.#endpoint = undefined;
    this.#reason = reason;
  }

  #open(): void {
    const { port, source, mtu } = this.options;
    try {
      const ports = listRdmaPorts(source?.sysfs ?? RDMA_SYSFS);
      const choice = chooseRdmaPort(ports, port === "auto" ? undefined : port);
      const device = Device.open(choice.port.device, choice.port.port, source?.library);
      const { facts } = device;
      this.#device = device;
      this.#openableAt = source === undefined ? openableAt(device.name) : undefined;
      this.#gidIndex = choice.gid?.index ?? 0;
      this.#door = this.#openDoor(device);
      this.#endpoint = {
        device: device.name,
        port: device.port,
        linkLayer: facts.linkLayer,
        gid: choice.gid?.gid ?? "",
        gidType: choice.gid?.type ?? "",
        lid: facts.lid,
        mtu: Math.min(mtu, facts.mtu),
        managerPort: this.#door?.port ?? null,
      };
      this.#reason = "";
      this.log.info("collectors may read by RDMA", { ...this.#endpoint });
    } catch (error) {
      if (!(error instanceof NoRdmaPortError || error instanceof SystemError)) throw error;
      this.#reason = error.message;
    }
  }

  /** Listens by rdma_cm where that is asked for; without it collectors connect over REST alone. */
  #openDoor(device: Device): ManagerDoor | undefined {
    const { manager, source } = this.options;
    if (manager === undefined) return undefined;
    try {
      const library = source?.manager ?? "";
      return new ManagerDoor(device.name, { ...manager, library }, this.log, (code, remote) =>
        this.events.strange(code, remote),
      );
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.log.warn("collectors cannot connect by rdma_cm, but over REST", {
        reason: error.message,
      });
      return undefined;
    }
  }

  #ready(): { device: Device; endpoint: RdmaEndpoint } {
    if (this.#device === undefined || this.#endpoint === undefined) {
      throw new AgentError(
        "no-rdma",
        `this agent does not serve RDMA: ${this.#reason}`,
        "read over TCP; `microview doctor` on the agent's host says what is missing",
        503,
      );
    }
    return { device: this.#device, endpoint: this.#endpoint };
  }

  #session(id: string, grant: Grant): Session {
    const session = this.#sessions.get(id);
    if (session === undefined || session.grant.name !== grant.name) {
      throw new AgentError(
        "unknown-session",
        "there is no such session",
        `open one: the WebSocket ${RDMA_SESSION_PATH}; it ends with its connection`,
        404,
      );
    }
    return session;
  }

  #pair(id: number, grant: Grant): Pair {
    const pair = this.#pairs.get(id);
    if (pair === undefined || pair.session.grant.name !== grant.name) {
      throw new AgentError(
        "unknown-queue-pair",
        `there is no queue pair ${id}`,
        "GET /v1/rdma/queue-pairs lists them",
        404,
      );
    }
    return pair;
  }

  #checkLimit(held: number, what: string, { name }: Grant): void {
    if (held < this.options.queuePairs) return;
    throw new LimitError(
      "queue-pairs-full",
      `the collectors of ${name} have ${held} ${what}, which is as many as they may`,
      "start the agent with a higher --max-queue-pairs",
    );
  }

  #domainFor(device: Device, pool: Pool, grant: Grant): AppDomain {
    // A name may have any character but this one.
    const key = `${grant.name}\n${pool.app}`;
    const known = this.#domains.get(key);
    if (known !== undefined) return known;
    let opened: AppDomain;
    try {
      const domain = device.openDomain();
      opened = { key, domain, registered: new RegisteredPool(pool, domain), pairs: 0 };
    } catch (error) {
      throw asAgentError(error);
    }
    this.#domains.set(key, opened);
    return opened;
  }

  #sync(registered: RegisteredPool): ReturnType<RegisteredPool["sync"]> {
    try {
      return registered.sync();
    } catch (error) {
      this.#warnOfLimit(error as Error);
      throw error;
    }
  }

  #warnOfLimit(error: Error): void {
    if (this.#warnedOfLimit) return;
    this.#warnedOfLimit = true;
    const { message, hint = MEMORY_LOCK_HINT } = error as Error & { hint?: string };
    this.log.warn("memory cannot be registered; collectors read over TCP", {
      reason: message,
      hint,
    });
  }

  #close(pair: Pair): void {
    const { domain, queuePair, session } = pair;
    if (!this.#pairs.delete(pair.id)) return;
    session.pairs.delete(pair);
    this.#door?.forget(queuePair);
    queuePair.close();
    if (--domain.pairs === 0) this.#closeDomain(domain);
  }

  #closeDomain(domain: AppDomain): void {
    this.#domains.delete(domain.key);
    domain.registered.close();
    domain.domain.close();
  }

  /** Not every device tells of a queue pair that met an error; Soft-RoCE does not. */
  #findBroken(): void {
    const all = [...this.#pairs.values()];
    const next = all.findIndex(({ id }) => id > this.#lastAsked);
    const turn = [...all.slice(Math.max(next, 0)), ...all.slice(0, Math.max(next, 0))];
    for (const pair of turn.slice(0, PAIRS_PER_SCAN)) {
      this.#lastAsked = pair.id;
      const { state } = pair.queuePair;
      if (state === PAIR_BROKEN) this.#failed(pair, { state });
    }
  }

  /** A queue pair met an error: its collector asked for what it may not read, or it broke. */
  #failed(pair: Pair, cause: { event: number } | { state: number }): void {
    this.log.warn("a queue pair is ended: its collector read what it may not, or it broke", {
      token: pair.session.grant.name,
      app: pair.domain.registered.pool.app,
      ...cause,
    });
    this.events.refused();
    this.#close(pair);
  }

  #lost(reason: string): void {
    this.log.error("RDMA is lost; collectors read over TCP until it is back", { reason });
    this.#letGo(reason);
    this.#reopenAtMs = Date.now() + REOPEN_INTERVAL_MS;
  }
}

const MEMORY_LOCK_HINT =
  "raise the memory-lock limit (`ulimit -l`, LimitMEMLOCK= of the systemd unit), or give CAP_IPC_LOCK";

function asAgentError(error: unknown): unknown {
  if (!(error instanceof SystemError)) return error;
  if (error.code === "ENOMEM" || error.code === "EAGAIN") {
    return new LimitError("memory-lock", error.message, MEMORY_LOCK_HINT);
  }
  return new AgentError(
    "rdma-failed",
    error.message,
    "`microview doctor` on both hosts says what their devices can do",
    502,
  );
}
