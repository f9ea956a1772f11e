// What an operator has asked services to record: rules by application and service, which the holder of a ring's lease
// stores there, in rings that come later too, until their time is over. Writers look at it by themselves.

import {
  CONTROL_OFF,
  CONTROL_SWITCH,
  LEVELS,
  type Level,
  type RingHeader,
  sampleThreshold,
} from "../layout/index.ts";
import { globs } from "../text/index.ts";

/** Which rings a rule is of, by globs; none stands for all. */
export interface RuleScope {
  apps: readonly string[];
  services: readonly string[];
}

/** What is not given stays as the service has set it. */
export interface EventRule extends RuleScope {
  /** The least level that is recorded. */
  level?: Level | "off";
  spans?: boolean;
  measures?: boolean;
  /** Which share of traces is recorded, above 0, at most 1. */
  sample?: number;
  /** Unix time until which it holds; 0 for ever. */
  untilMs: number;
}

/** The words of a ring that say so: RING_SHIPPER in the layout. */
export interface RingControl {
  level: number;
  spans: number;
  measures: number;
  sample: number;
  untilMs: number;
}

export const NO_CONTROL: RingControl = { level: 0, spans: 0, measures: 0, sample: 0, untilMs: 0 };

export const RULES_MAX = 256;

/** The rules that hold, in the order in which they were set: of two that say the same thing the later one counts. */
export class EventRules {
  #rules: EventRule[] = [];

  /** Those whose time is not over. */
  all(nowMs = Date.now()): readonly EventRule[] {
    this.#rules = this.#rules.filter((rule) => holds(rule, nowMs));
    return this.#rules;
  }

  /** @returns false when there are too many */
  set(rule: EventRule): boolean {
    const others = this.all().filter((each) => !isSameScope(each, rule));
    const before = this.#rules.find((each) => isSameScope(each, rule));
    if (before === undefined && others.length >= RULES_MAX) return false;
    this.#rules = [...others, { ...before, ...rule }];
    return true;
  }

  /** Removes what was set for a scope; for all of them where it names nothing. */
  reset(scope: RuleScope): void {
    this.#rules = isEverything(scope)
      ? []
      : this.#rules.filter((each) => !isSameScope(each, scope));
  }
}

export function holds({ untilMs }: Pick<EventRule, "untilMs">, nowMs: number): boolean {
  return untilMs === 0 || nowMs < untilMs;
}

export function isOf(scope: RuleScope, { app, service }: Pick<RingHeader, "app" | "service">) {
  return globs(scope.apps)(app) && globs(scope.services)(service);
}

/** @param found what was in the ring before anybody said anything: an agent that has ended has set it */
export function controlBy(
  rules: readonly EventRule[],
  ring: Pick<RingHeader, "app" | "service">,
  nowMs: number,
  found = NO_CONTROL,
): RingControl {
  const control = holds(found, nowMs) ? { ...found } : { ...NO_CONTROL };
  for (const rule of rules) {
    if (!holds(rule, nowMs) || !isOf(rule, ring)) continue;
    const { level, spans, measures, sample, untilMs } = rule;
    if (level !== undefined)
      control.level = level === "off" ? CONTROL_OFF : LEVELS.indexOf(level) + 1;
    if (spans !== undefined) control.spans = switchOf(spans);
    if (measures !== undefined) control.measures = switchOf(measures);
    if (sample !== undefined) control.sample = sampleThreshold(sample);
    // The ring has one time for all: what holds for longer is stored again when it is over.
    if (untilMs > 0)
      control.untilMs = control.untilMs === 0 ? untilMs : Math.min(control.untilMs, untilMs);
  }
  return control;
}

function switchOf(isOn: boolean): number {
  return isOn ? CONTROL_SWITCH.on : CONTROL_SWITCH.off;
}

function isEverything({ apps, services }: RuleScope): boolean {
  return apps.length === 0 && services.length === 0;
}

function isSameScope(a: RuleScope, b: RuleScope): boolean {
  return (
    [...a.apps].sort().join("\0") === [...b.apps].sort().join("\0") &&
    [...a.services].sort().join("\0") === [...b.services].sort().join("\0")
  );
}

/** What somebody who holds rings is told when rules change. */
export interface RulesChange {
  rules: readonly EventRule[];
  /** Whose rings are counted: those that it is of; otherwise those that any rule is of. */
  counted?: RuleScope;
  /** What else stands in rings of this scope, of an agent that has ended, goes too. */
  cleared?: RuleScope;
}

/** A ring whose words follow the rules. */
export class ControlledRing {
  readonly #header: Pick<RingHeader, "app" | "service">;
  readonly #store: (control: RingControl) => void;
  #found: RingControl;
  #stored: RingControl;

  constructor(
    header: Pick<RingHeader, "app" | "service">,
    found: RingControl,
    store: (control: RingControl) => void,
  ) {
    this.#header = header;
    this.#found = found;
    this.#stored = found;
    this.#store = store;
  }

  /** @returns whether the ring is one of those that are counted */
  follow({ rules, counted, cleared }: RulesChange, nowMs = Date.now()): boolean {
    if (cleared !== undefined && (isEverything(cleared) || isOf(cleared, this.#header))) {
      this.#found = NO_CONTROL;
    }
    const control = controlBy(rules, this.#header, nowMs, this.#found);
    const keys = Object.keys(control) as (keyof RingControl)[];
    if (keys.some((key) => control[key] !== this.#stored[key])) {
      this.#store(control);
      this.#stored = control;
    }
    if (counted !== undefined) return isOf(counted, this.#header);
    return rules.some((rule) => isOf(rule, this.#header));
  }
}
