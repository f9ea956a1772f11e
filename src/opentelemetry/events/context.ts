// Contexts of OpenTelemetry's API: what a piece of work carries with it, of which the span is the most important.
// https://opentelemetry.io/docs/specs/otel/context/
//
// Nothing of the API is loaded: a context is whatever has its three methods, and its keys are symbols that all know.

import { AsyncLocalStorage } from "node:async_hooks";
import type { Context, ContextManager as ContextManagerApi, Span } from "@opentelemetry/api";
import { ApiSpan } from "./span.ts";

/** `createContextKey` of the API gives the symbols of these texts. */
const SPAN = Symbol.for("OpenTelemetry Context Key SPAN");
const SUPPRESSED = Symbol.for("OpenTelemetry SDK Context Key SUPPRESS_TRACING");

export function spanIn(context: Context): Span | undefined {
  return (context.getValue(SPAN) as Span | undefined) || undefined;
}

export function withSpan(context: Context, span: Span): Context {
  return context.setValue(SPAN, span);
}

/** Whether an exporter or an instrumentation wants no spans of what it does. */
export function isSuppressed(context: Context): boolean {
  return context.getValue(SUPPRESSED) === true;
}

/** A context as a list: to add a value copies nothing. */
class Entry implements Context {
  constructor(
    readonly key: symbol | undefined,
    readonly value: unknown,
    readonly rest: Entry | undefined,
  ) {}

  getValue(key: symbol): unknown {
    for (let entry: Entry | undefined = this; entry !== undefined; entry = entry.rest) {
      if (entry.key === key) return entry.value;
    }
    return undefined;
  }

  setValue(key: symbol, value: unknown): Context {
    const rest = this.key === key ? this.rest : this.#has(key) ? this.#without(key) : this;
    return new Entry(key, value, rest);
  }

  deleteValue(key: symbol): Context {
    return this.#has(key) ? (this.#without(key) ?? ROOT) : this;
  }

  #has(key: symbol): boolean {
    for (let entry: Entry | undefined = this; entry !== undefined; entry = entry.rest) {
      if (entry.key === key) return true;
    }
    return false;
  }

  /** The same without a key that it has: who sets one again and again makes no list that grows. */
  #without(key: symbol): Entry | undefined {
    if (this.key === key || this.rest === undefined) return this.rest;
    return new Entry(this.key, this.value, this.rest.#without(key));
  }
}

export const ROOT: Context = new Entry(undefined, undefined, undefined);

/**
 * Keeps contexts over what is asynchronous, as `AsyncLocalStorageContextManager` of the SDK does, and lets logs and spans
 * of `mv` know in which of them they are: `context.setGlobalContextManager(new ContextManager())`.
 */
export class ContextManager implements ContextManagerApi {
  readonly #storage = new AsyncLocalStorage<Context>();

  active(): Context {
    return this.#storage.getStore() ?? ROOT;
  }

  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(
    context: Context,
    fn: F,
    thisArg?: ThisParameterType<F>,
    ...args: A
  ): ReturnType<F> {
    const call = thisArg === undefined ? fn : (fn.bind(thisArg) as F);
    const span = spanIn(context);
    if (span instanceof ApiSpan) {
      const run = () => this.#storage.run(context, call, ...args);
      return span.recorder.withinAsync(span.own, run);
    }
    const before = spanIn(this.active());
    if (before !== span && before instanceof ApiSpan) {
      // It was left on purpose: what begins now is not below it.
      return before.recorder.withinAsync(undefined, () =>
        this.#storage.run(context, call, ...args),
      );
    }
    return this.#storage.run(context, call, ...args);
  }

  /** @internal as {@link ContextManager.with}, for a span that was just put into a context: what is called most */
  enter<T>(context: Context, span: ApiSpan, run: (span: Span) => T): T {
    return span.recorder.withinAsync(span.own, () => this.#storage.run(context, run, span));
  }

  /** Functions keep the context when they are called later; of an emitter, the listeners that it gets. */
  bind<T>(context: Context, target: T): T {
    if (typeof target === "function") return this.#bound(context, target as never) as T;
    if (isEmitter(target)) this.#bindEmitter(context, target);
    return target;
  }

  enable(): this {
    return this;
  }

  disable(): this {
    this.#storage.disable();
    return this;
  }

  #bound<F extends (...args: unknown[]) => unknown>(context: Context, fn: F): F {
    const manager = this;
    const bound = function (this: unknown, ...args: unknown[]) {
      return manager.with(context, () => fn.apply(this, args));
    };
    Object.defineProperty(bound, "length", { value: fn.length, configurable: true });
    return bound as F;
  }

  #bindEmitter(context: Context, emitter: Emitter): void {
    if (emitter[BOUND] !== undefined) return;
    const bound = new WeakMap<Listener, Listener>();
    emitter[BOUND] = bound;
    for (const name of ["on", "once", "addListener", "prependListener", "prependOnceListener"]) {
      const add = emitter[name];
      if (typeof add !== "function") continue;
      emitter[name] = (event: unknown, listener: Listener) => {
        const each = bound.get(listener) ?? this.#bound(context, listener);
        bound.set(listener, each);
        return add.call(emitter, event, each);
      };
    }
    for (const name of ["off", "removeListener"]) {
      const remove = emitter[name];
      if (typeof remove !== "function") continue;
      emitter[name] = (event: unknown, listener: Listener) =>
        remove.call(emitter, event, bound.get(listener) ?? listener);
    }
  }
}

type Listener = (...values: unknown[]) => unknown;

const BOUND = Symbol("microview.bound");

interface Emitter {
  [name: string | symbol]: unknown;
}

function isEmitter(target: unknown): target is Emitter {
  if (typeof target !== "object" || target === null) return false;
  const { on, emit } = target as Emitter;
  return typeof on === "function" && typeof emit === "function";
}
