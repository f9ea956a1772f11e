// One ring that is shipped: what is new in it becomes blocks in the spool. The order of stores makes that each event
// arrives once, whatever store the agent dies at (docs/decisions/0051).

import type { BlockProcess } from "../../layout/index.ts";
import type { Lease } from "../lease.ts";
import type { OpenRing } from "../rings.ts";
import { ControlledRing } from "../settings.ts";
import { makeFinalBlock } from "./final-block.ts";
import type { MakeBlock } from "./ring-part.ts";
import type { Spool, SpooledStream } from "./spool.ts";

/** Between two of them a test ends the process. */
export type Step = "pending" | "spooled" | "total" | "position" | "final" | "ended" | "removed";

export interface ShippingContext {
  spool: Spool;
  makeBlock: MakeBlock;
  step?: (step: Step) => void;
}

/** Of a ring, what stays readable for `events tail` while its writer has room enough. */
const KEPT_SHARE = 1 / 8;
/** When so much is new, it is shipped at once: spans are refused from a half on. */
const BUSY_SHARE = 1 / 8;

export class ShippedRing {
  readonly #context: ShippingContext;
  #process: BlockProcess;
  /** Until when nothing is shipped, because it is not known yet who has recorded. */
  #heldUntilMs = 0;
  readonly #words: number;
  /** Where blocks have ended whose words are kept, the oldest first. */
  readonly #ends: number[] = [];
  /** What is due and was not done yet, because its user's time was over. */
  readonly due = { isFlush: false, isDeath: false };
  /** Whether the last turn was over before all was shipped. */
  isBehind = false;
  /** Words that could not be read. */
  skippedWords = 0;
  /** Records that this version does not know. */
  skippedRecords = 0;
  readonly controlled: ControlledRing;

  /** @throws RingFormatError, SystemError for a ring that cannot be read */
  constructor(
    readonly path: string,
    readonly ring: OpenRing,
    readonly lease: Lease,
    process: BlockProcess,
    context: ShippingContext,
  ) {
    this.controlled = new ControlledRing(ring.header, lease.control, (control) =>
      lease.storeControl(control),
    );
    this.#process = process;
    this.#context = context;
    this.#words = ring.header.ringBytes / 8;
    // An agent that has died after it spooled a block has not told the ring.
    const { spooled } = this;
    if (spooled !== undefined) {
      if (spooled.end > lease.total && lease.wordsAfter(lease.total) >= spooled.end - lease.total) {
        lease.storeTotal(spooled.end, spooled.timeline);
      }
      if (spooled.isFinal && !lease.isEnded) lease.storeEnded();
    }
    // What is kept for others is before the total; anything else is what somebody has left half done.
    if (lease.kept > this.#words) lease.storePosition(lease.total);
    this.#ends.push(lease.total);
  }

  /**
   * Waits with shipping until more is known of who has recorded.
   * @param more resolves with it; what is shipped before, or after an error, goes without
   */
  async hold(more: Promise<Partial<BlockProcess>>, atMostMs: number): Promise<void> {
    this.#heldUntilMs = performance.now() + atMostMs;
    try {
      this.#process = { ...this.#process, ...(await more) };
    } catch {
      // Nobody who ships events should fail for a name.
    }
    this.#heldUntilMs = 0;
  }

  /** What the spool has of it that was not taken yet. */
  get spooled(): SpooledStream | undefined {
    return this.#context.spool.stream(this.#process, this.ring.header.ringId);
  }

  get isHeld(): boolean {
    return performance.now() < this.#heldUntilMs;
  }

  /** Whether its writer would soon have no room for spans. */
  get isBusy(): boolean {
    return this.lease.news >= this.#words * BUSY_SHARE;
  }

  /**
   * Ships what is new up to the head as it is now.
   * @param isWritten whether its writer may go on: if not, what was shipped is left for others to read
   * @param isOver whether it is others' turn: asked after each block
   * @returns false when the spool does not take it
   */
  ship(isWritten: boolean, isOver: () => boolean): boolean {
    const { lease } = this;
    this.isBehind = false;
    const { news } = lease;
    if (news > this.#words) {
      // The words were overwritten, or the head was forged.
      this.skippedWords += news;
      lease.storeTotal(lease.total + news, undefined);
      lease.storePosition(lease.total);
      return true;
    }
    const goal = lease.total + news;
    while (lease.total < goal && !this.isBehind) {
      if (!this.#shipBlock(goal)) return false;
      this.isBehind = lease.total < goal && isOver();
    }
    if (isWritten) this.#giveRoom(news >= this.#words * BUSY_SHARE);
    return true;
  }

  /**
   * Says that nothing follows, once.
   * @returns false when the spool does not take it
   */
  end(): boolean {
    const { lease, ring } = this;
    const { spool, step } = this.#context;
    if (lease.isEnded) return true;
    const { total } = lease;
    const part = {
      ring,
      first: total,
      end: total,
      isFinal: true,
      process: this.#process,
      timeline: lease.timeline,
    };
    const { block, header } = makeFinalBlock(part);
    if (!spool.append(block, header)) return false;
    step?.("final");
    lease.storeEnded();
    step?.("ended");
    return true;
  }

  #shipBlock(goal: number): boolean {
    const { lease, ring } = this;
    const { spool, makeBlock, step } = this.#context;
    const first = lease.total;
    // A block that somebody has begun may be in another spool: it is made again, and with its id it counts once.
    const end = lease.pending > first ? lease.pending : goal;
    const part = {
      ring,
      first,
      end,
      isFinal: false,
      process: this.#process,
      timeline: lease.timeline,
    };
    const { block, header } = makeBlock(part);
    lease.storePending(header.end);
    step?.("pending");
    if (!spool.append(block, header)) return false;
    step?.("spooled");
    lease.storeTotal(header.end, header.timeline);
    step?.("total");
    this.#ends.push(header.end);
    this.skippedRecords += header.skipped ?? 0;
    return true;
  }

  #giveRoom(isBusy: boolean): void {
    const { total } = this.lease;
    const kept = isBusy ? 0 : this.#words * KEPT_SHARE;
    while (this.#ends.length > 1 && total - this.#ends[0]! > kept) this.#ends.shift();
    this.lease.storePosition(this.#ends[0]!);
    this.#context.step?.("position");
  }

  close(): void {
    this.ring.close();
  }
}
