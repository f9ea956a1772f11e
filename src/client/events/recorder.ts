// Records the events of this thread: its ring, made when the first of them is wanted, and what logs, measures and spans
// share. Nothing here waits for anybody, and whatever callers pass, nothing throws.

import { AsyncLocalStorage } from "node:async_hooks";
import { DEFINITION, EVENT_FLAGS, ringGeometry } from "../../layout/index.ts";
import type { ApiError } from "../../rest/index.ts";
import { Encoder } from "./encoder.ts";
import { Gate } from "./gate.ts";
import { Interner, type Message } from "./interner.ts";
import type { LineReader } from "./json-line.ts";
import { type Loggers, loggersOf } from "./loggers.ts";
import { Measure } from "./measure.ts";
import type { EventsOptions, Log, Properties } from "./options.ts";
import { Redaction } from "./redaction.ts";
import { makeClock, makeRingFile, newRingId, privateMemory, type RingFile } from "./ring-file.ts";
import { type RingClock, type RingMemory, RingWriter } from "./ring-writer.ts";
import { type BeginOptions, Span, SpanName, type SpanOptions } from "./span.ts";
import { type Site, Thinning } from "./thinning.ts";
import {
  checkedContext,
  parseTraceparent,
  SAMPLED,
  type SpanContext,
  wordAt,
} from "./trace-context.ts";
import { TraceIds } from "./trace-ids.ts";

/**
 * Measures, names of spans and targets that are kept for who asks again; adapters keep as many scopes. More are made for
 * each call and define nothing: one name that is asked for again and again would fill the table of definitions.
 */
export const NAMES_MAX = 4096;
/** Lines a second of one message and level. */
const THIN_ABOVE = 10_000;
/** No line of a level that is worse than this one, `warn`, is ever left out. */
const THINNED_FROM = 2;
/** In the place of a definition. */
const THINNED = -1;
/** How soon a ring that could not be made is tried again, and how soon after many tries. */
const RETRY_MS = 1000;
const RETRY_MS_MAX = 60_000;

/** The part of the program that a log is of. */
export interface Target {
  name: string;
  /** 0 where it is written out with each log, or there is none. */
  definition: number;
}

const NO_TARGET: Target = { name: "", definition: 0 };

export interface RecorderOptions extends EventsOptions {
  app: string;
  service: string;
  poolDir?: string | undefined;
  onWarning: (warning: ApiError) => void;
}

export class Recorder {
  readonly log: Log;
  /** What is recorded at all; for adapters, which look before they make a line. */
  readonly gate: Gate;
  /** The first half of the ids of its spans. */
  readonly spanPrefix: string;
  readonly #options: RecorderOptions;
  readonly #trusts: boolean;
  readonly #clock: RingClock;
  readonly #redaction: Redaction;
  readonly #thinning: Thinning;
  readonly #ringId = newRingId();
  #file: RingFile | undefined;
  #poolDir: string | undefined;
  #hasToldFolder = false;
  #tries = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  readonly #ring: RingWriter;
  readonly #interner: Interner;
  readonly #encoder: Encoder;
  readonly #measures = new Map<string, Measure>();
  readonly #spans = new Map<string, SpanName>();
  readonly #spansWith = new Map<string, SpanName>();
  readonly #loggers: Loggers<Target>;
  readonly #logs = new Map<string, Log>();
  readonly #traces = new TraceIds();
  #sequence = 0;
  /** The span whose function this thread is in; that of an asynchronous one comes with its context. */
  #current: Span | undefined;
  #context: AsyncLocalStorage<Span | undefined> | undefined;
  #isEncoding = false;

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#poolDir = options.poolDir;
    this.#trusts = options.trustTraceparent ?? false;
    this.#clock = makeClock();
    this.#redaction = new Redaction(options.redact, options.redactHook);
    this.spanPrefix = this.#ringId.slice(0, 8);
    this.#thinning = new Thinning(options.thinAbove ?? THIN_ABOVE, this.#clock, (site) =>
      this.#tellThinned(site),
    );
    this.#file = this.#makeFile();
    const geometry = ringGeometry();
    const memory = this.#file?.memory ?? privateMemory(geometry);
    this.gate = new Gate(memory, geometry, options);
    this.#ring = new RingWriter(memory, geometry, this.#clock);
    this.#ring.onFull = () => this.#tellFull();
    this.#interner = new Interner(this.#ring, this.#redaction);
    this.#encoder = this.#newEncoder();
    this.#loggers = loggersOf(this.gate, (level, target: Target, message, properties) =>
      this.#log(level, target, message, properties, this.#openSpan()),
    );
    this.log = this.#loggers.make(NO_TARGET);
  }

  /** @param place gives where it was declared; asked once */
  logger(target: string, place: () => string): Log {
    if (target === "") return this.log;
    let log = this.#logs.get(target);
    if (log === undefined) {
      if (this.#logs.size >= NAMES_MAX) return this.#loggers.make(this.targetOnce(target));
      log = this.#loggers.make(this.#newTarget(target, place));
      this.#logs.set(target, log);
    }
    return log;
  }

  measure(name: string, unit: string, target: string, place: () => string): Measure {
    const key = JSON.stringify([name, unit, target]);
    let measure = this.#measures.get(key);
    if (measure === undefined) {
      const where = place();
      if (this.#measures.size >= NAMES_MAX) return new Measure(this, name, unit, target, where, 0);
      const definition = this.#interner.define(DEFINITION.measure, name, unit, target, where);
      measure = new Measure(this, name, unit, target, where, definition);
      this.#measures.set(key, measure);
    }
    return measure;
  }

  span(name: string, options: SpanOptions | undefined, place: () => string): SpanName {
    const known = options === undefined ? this.#spans : this.#spansWith;
    const { kind = "internal", target = "" } = options ?? {};
    const key = options === undefined ? name : JSON.stringify([name, kind, target]);
    let span = known.get(key);
    if (span === undefined) {
      const where = place();
      if (known.size >= NAMES_MAX) return new SpanName(this, name, kind, target, where, 0);
      const definition = this.#interner.define(DEFINITION.span, name, target, where);
      span = new SpanName(this, name, kind, target, where, definition);
      known.set(key, span);
    }
    return span;
  }

  /** @internal for a name that is one of many: it is written out with each span */
  spanOnce(name: string, { kind = "internal", target = "" }: SpanOptions): SpanName {
    return new SpanName(this, name, kind, target, "", 0);
  }

  /** The span that this code is in. */
  get currentSpan(): Span | undefined {
    return this.#current ?? this.#context?.getStore();
  }

  /** The context of a caller, if it may be trusted. @param traceparent the header of that name */
  contextOf(traceparent: string | null | undefined): SpanContext | undefined {
    return this.#trusts ? parseTraceparent(traceparent) : undefined;
  }

  /** @internal for measures that are defined */
  recordValue(definition: number, value: number): void {
    this.#ring.measure(definition, value);
  }

  /** @internal */
  tellNoNumber({ name }: Measure, value: unknown): void {
    this.#warn({
      code: "no-number",
      message: `the measure ${name} was given a ${value === null ? "null" : typeof value}, which is no number: NaN is recorded`,
      hint: "pass a number, as by Number(text)",
    });
  }

  /** @internal */
  recordMeasure(measure: Measure, value: number, properties?: Properties): void {
    const { name, unit, target, place, definition } = measure;
    this.#encoded((encoder) => {
      if (definition === 0) encoder.text(name).text(unit).text(target).text(place);
      if (properties !== undefined) encoder.properties(properties);
      const flags = properties === undefined ? 0 : EVENT_FLAGS.properties;
      this.#ring.measureWith(definition, value, encoder, flags);
    });
  }

  /** @internal begins a span below the one that is open */
  begin(name: SpanName, shape: number): Span {
    const parent = this.#current ?? this.#context?.getStore();
    const span = parent === undefined ? this.#root(shape) : this.#below(parent, shape);
    if ((span.flags & SAMPLED) !== 0 && !this.gate.hidesSpan()) {
      const above = parent === undefined ? 0 : parent.sequence;
      if (name.definition > 0) span.isOpen = this.#ring.begin(name.definition, above, span);
      else this.#recordWith(name, above, span);
    }
    return span;
  }

  /** @internal begins a span where somebody says */
  beginWith(name: SpanName, shape: number, options: BeginOptions): Span {
    const { parent, properties, traceparent } = options;
    const local =
      parent === undefined ? this.currentSpan : parent instanceof Span ? parent : undefined;
    const caller = parent === undefined ? this.contextOf(traceparent) : undefined;
    const remote =
      caller ??
      (local !== undefined && local.recorder !== this
        ? local.context
        : local === undefined
          ? checkedContext(parent)
          : undefined);
    if (remote !== undefined) {
      const span = this.#continuing(remote, shape);
      this.#recordWith(name, 0, span, properties, remote.spanId);
      return span;
    }
    const span = local === undefined ? this.#root(shape) : this.#below(local, shape);
    this.#recordWith(name, local?.sequence ?? 0, span, properties);
    return span;
  }

  /** @internal */
  end(sequence: number, status: number): void {
    this.#ring.end(sequence, status);
  }

  /** @internal */
  endWith(sequence: number, status: number, set: object | undefined, properties: unknown): void {
    const isDone = this.#encoded((encoder) => {
      this.#ring.endWith(sequence, status, encoder.properties(set, properties));
    });
    // Without its properties it has ended all the same.
    if (!isDone) this.#ring.end(sequence, status);
  }

  /** @internal runs a function as this span */
  within<T>(span: Span, run: (span: Span) => T): T {
    const before = this.#current;
    this.#current = span;
    try {
      return run(span);
    } finally {
      this.#current = before;
    }
  }

  /** @internal runs a function, and all that it calls later, as this span; undefined for none */
  withinAsync<T>(span: Span | undefined, run: () => T): T {
    // Made by the first who needs it: logs and spans look there from then on.
    this.#context ??= new AsyncLocalStorage();
    const before = this.#current;
    this.#current = undefined;
    try {
      return this.#context.run(span, run);
    } finally {
      this.#current = before;
    }
  }

  /**
   * @internal a line of another library's, which has looked at the {@link Recorder.gate} itself
   * @param level its index in LEVELS
   * @param span whose line it is, if that is not the one that is open
   */
  write(
    level: number,
    target: Target,
    message: unknown,
    properties: Properties | undefined,
    span: Span | undefined = this.currentSpan,
  ): void {
    this.#log(level, target, message, properties, span?.sequence ?? 0);
  }

  /** @internal for {@link Recorder.write} */
  target(name: string, place = ""): Target {
    return name === "" ? NO_TARGET : this.#newTarget(name, () => place);
  }

  /** For one of many: its name is a property of each log, so that they do not fill the table of definitions. */
  targetOnce(name: string): Target {
    return { name, definition: 0 };
  }

  /** Lets go of the ring, whose events stay. What is recorded from now on is seen by nobody. */
  close(): void {
    this.#thinning.end();
    clearTimeout(this.#retry);
    if (this.#file === undefined) return;
    const file = this.#file;
    this.#file = undefined;
    this.#ring.onFull = undefined;
    this.#moveTo(privateMemory(file.geometry));
    file.close();
  }

  /** In a turn of its own: the listener may record something itself, or throw. */
  #warn(warning: ApiError): void {
    const { onWarning } = this.#options;
    queueMicrotask(() => {
      try {
        onWarning(warning);
      } catch {
        // Recording hurts nobody.
      }
    });
  }

  #tellFull(): void {
    const { app, service } = this.#options;
    this.#warn({
      code: "ring-full",
      message: `the ring of events of ${app}/${service} is full: new ones are lost, and counted, until somebody makes room`,
      hint: "run `microview agent` for this user, with the --pool-dir where the service has a poolDir",
    });
  }

  #moveTo(memory: RingMemory): void {
    this.gate.moveTo(memory);
    this.#loggers.move();
    this.#ring.moveTo(memory);
  }

  /** The agent looks for rings below this directory: the ring goes on there, with all that it has. */
  follow(poolDir: string | undefined): void {
    if (poolDir === this.#poolDir) return;
    const before = this.#file;
    // One that could not be made yet is tried there next.
    if (before === undefined || !before.reserve()) {
      // Where somebody ships it already it is where it should be.
      if (before === undefined) this.#poolDir = poolDir;
      return;
    }
    const { app, service, onWarning } = this.#options;
    try {
      this.#file = makeRingFile(app, service, poolDir, this.#ringId, this.#clock, (memory) =>
        this.#ring.copyTo(memory),
      );
    } catch (error) {
      before.unreserve();
      if (this.#hasToldFolder) return;
      this.#hasToldFolder = true;
      onWarning({
        code: "no-ring-there",
        message: `events of ${app}/${service} stay in ${before.folder}, where the agent does not look for them: ${(error as Error).message}`,
        hint: "let the service's user make files in the application's folder of the agent's --pool-dir",
      });
      return;
    }
    this.#poolDir = poolDir;
    this.#moveTo(this.#file.memory);
    before.remove();
    before.close();
  }

  /** @param fill stores what there is already */
  #makeFile(fill?: (memory: RingMemory) => void): RingFile | undefined {
    const { app, service, onWarning } = this.#options;
    try {
      return makeRingFile(app, service, this.#poolDir, this.#ringId, this.#clock, fill);
    } catch (error) {
      const { message } = error as Error;
      if (this.#tries++ === 0) {
        onWarning({
          code: "no-ring",
          message: `events of ${app}/${service} are kept in private memory, where nobody sees them: ${message}`,
          hint: "free shared memory, or remove files that microview-events has left in it; then they move there within a minute",
        });
      }
      const delayMs = Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** (this.#tries - 1));
      this.#retry = setTimeout(() => this.#makeAgain(), delayMs).unref();
      return undefined;
    }
  }

  /** There may be room for the ring by now: what it has so far moves there. */
  #makeAgain(): void {
    this.#file = this.#makeFile((memory) => this.#ring.copyTo(memory));
    if (this.#file !== undefined) this.#moveTo(this.#file.memory);
  }

  #newTarget(name: string, place: () => string): Target {
    return { name, definition: this.#interner.define(DEFINITION.target, name, place()) };
  }

  #log(
    level: number,
    target: Target,
    message: unknown,
    properties: Properties | Error | undefined,
    span: number,
  ): void {
    const isOuter = !this.#isEncoding;
    this.#isEncoding = true;
    try {
      const encoder = (isOuter ? this.#encoder : this.#newEncoder()).reset();
      const { definition } = target;
      if (
        typeof message !== "string" ||
        (definition === 0 && target !== NO_TARGET) ||
        isError(properties)
      ) {
        this.#logOther(encoder, level, target, message, properties, span);
        return;
      }
      const id = this.#message(encoder, message, level);
      if (id === THINNED) return;
      const hasProperties = properties !== undefined;
      if (hasProperties) encoder.properties(properties);
      const flags = hasProperties ? EVENT_FLAGS.properties : 0;
      this.#ring.log(level, id, span, definition, encoder, flags);
    } catch {
      this.#ring.failed();
    } finally {
      if (isOuter) this.#isEncoding = false;
    }
  }

  /** @internal records a line of JSON that a logger has made, without its level: the logger tells that. */
  logLine(level: number, { definition }: Target, line: string, reader: LineReader): void {
    const isOuter = !this.#isEncoding;
    this.#isEncoding = true;
    try {
      const encoder = (isOuter ? this.#encoder : this.#newEncoder()).reset();
      const id = this.#line(encoder, line, reader, level);
      if (id === THINNED) return;
      this.#ring.log(level, id, this.#openSpan(), definition, encoder, EVENT_FLAGS.properties);
    } catch {
      this.#ring.failed();
    } finally {
      if (isOuter) this.#isEncoding = false;
    }
  }

  /** As {@link Recorder.#message}, with the properties. */
  #line(encoder: Encoder, line: string, reader: LineReader, level: number): number {
    // A hook has to see each value.
    if (this.#redaction.hook === undefined && reader.split(line)) {
      const interner = this.#interner;
      const isLookedUp = interner.mayKnow(reader.messageBytes);
      const known = isLookedUp ? interner.lookUp(reader.message()) : undefined;
      if (known === undefined) reader.writeMessage(encoder);
      if (reader.properties(encoder, interner)) {
        return known === undefined ? 0 : this.#thinned(known, level);
      }
      encoder.reset();
    }
    // Of what is no JSON nobody knows what is secret.
    const { message, properties } = reader.parsed(line) ?? {
      message: "a line that is no JSON",
      properties: { characters: line.length },
    };
    const id = this.#message(encoder, message, level);
    if (id === THINNED) return id;
    encoder.properties(properties);
    return id;
  }

  /** A line that has more properties than the caller has given. */
  #logOther(
    encoder: Encoder,
    level: number,
    { name, definition }: Target,
    first: unknown,
    second: unknown,
    span: number,
  ): void {
    // pino has them the other way round: what is recorded first, and then the message.
    const isTurned = typeof first === "object" && first !== null && typeof second === "string";
    const [message, properties] = isTurned ? [second, first] : [first, second];
    const error = isError(message) ? message : isError(properties) ? properties : undefined;
    const text = isError(message) ? message.message : message;
    const id = this.#message(encoder, String(text), level);
    if (id === THINNED) return;
    encoder.properties(properties === error ? undefined : properties, {
      ...(error === undefined ? {} : { error }),
      ...(name !== "" && definition === 0 ? { target: name } : {}),
    });
    this.#ring.log(level, id, span, definition, encoder, EVENT_FLAGS.properties);
  }

  /** @returns the message's definition; 0 when it was written, {@link THINNED} when its line is left out */
  #message(encoder: Encoder, message: string, level: number): number {
    const { hook } = this.#redaction;
    const text = hook === undefined ? message : hidden(hook, message);
    const known = this.#interner.message(text);
    if (known === undefined) {
      encoder.text(text);
      return 0;
    }
    return this.#thinned(known, level);
  }

  #thinned({ id, sites }: Message, level: number): number {
    if (level < THINNED_FROM) return id;
    const site = sites[level];
    if (site === undefined) sites[level] = this.#thinning.site(id, level);
    else if (this.#thinning.hides(site)) return THINNED;
    return id;
  }

  #tellThinned({ level, id, thinned }: Site): void {
    this.#encoded((encoder) => {
      this.#ring.log(level, id, 0, 0, encoder.properties({ thinned }), EVENT_FLAGS.properties);
    });
  }

  #openSpan(): number {
    return (this.#current ?? this.#context?.getStore())?.sequence ?? 0;
  }

  #nextSequence(): number {
    // 0 is no span.
    this.#sequence = (this.#sequence + 1) >>> 0 || 1;
    return this.#sequence;
  }

  /** A span of a trace that begins here: whether it is kept is decided now, for all that follow. */
  #root(shape: number): Span {
    const traces = this.#traces;
    const trace2 = traces.next();
    const trace3 = traces.next();
    const { high0, high1 } = traces;
    const flags = this.gate.samples(trace3) && !this.gate.hidesSpan() ? SAMPLED : 0;
    return new Span(this, this.#nextSequence(), 0, shape, flags, high0, high1, trace2, trace3);
  }

  #below(parent: Span, shape: number): Span {
    return new Span(
      this,
      this.#nextSequence(),
      parent.depth + 1,
      shape,
      parent.flags,
      parent.trace0,
      parent.trace1,
      parent.trace2,
      parent.trace3,
    );
  }

  #continuing({ traceId, flags }: SpanContext, shape: number): Span {
    const [trace0, trace1, trace2, trace3] = [0, 8, 16, 24].map((at) => wordAt(traceId, at)) as [
      ...[number, number],
      ...[number, number],
    ];
    return new Span(this, this.#nextSequence(), 0, shape, flags, trace0, trace1, trace2, trace3);
  }

  /** Apart: a function that others capture variables of makes room for them on the heap at each call. */
  #recordWith(
    { name, target, place, definition }: SpanName,
    parent: number,
    span: Span,
    properties?: Properties,
    remoteId?: string,
  ): void {
    if ((span.flags & SAMPLED) === 0 || this.gate.hidesSpan()) return;
    this.#encoded((encoder) => {
      let flags = 0;
      if (remoteId !== undefined) {
        flags |= EVENT_FLAGS.remoteParent;
        encoder.id(wordAt(remoteId, 0), wordAt(remoteId, 8));
      }
      if (definition === 0) encoder.text(name).text(target).text(place);
      if (properties !== undefined) {
        flags |= EVENT_FLAGS.properties;
        encoder.properties(properties);
      }
      span.isOpen = this.#ring.begin(definition, parent, span, encoder, flags);
    });
  }

  /**
   * Encodes something and stores it, whatever callers' objects do meanwhile: they may record something themselves.
   * @returns false when it could not be done
   */
  #encoded(record: (encoder: Encoder) => void): boolean {
    const isOuter = !this.#isEncoding;
    this.#isEncoding = true;
    try {
      record((isOuter ? this.#encoder : this.#newEncoder()).reset());
      return true;
    } catch {
      this.#ring.failed();
      return false;
    } finally {
      if (isOuter) this.#isEncoding = false;
    }
  }

  #newEncoder(): Encoder {
    return new Encoder(this.#redaction, (name) => this.#interner.key(name));
  }
}

function isError(value: unknown): value is Error {
  try {
    return value instanceof Error;
  } catch {
    // A proxy may throw.
    return false;
  }
}

function hidden(hook: (key: string, value: unknown) => unknown, message: string): string {
  try {
    return String(hook("message", message));
  } catch {
    return "[redacted]";
  }
}
