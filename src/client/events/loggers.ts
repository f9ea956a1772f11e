// The functions that a service calls to log. One of a level that is off does next to nothing, and all of a logger's are
// free functions: they may be taken out of it.

import { LEVELS } from "../../layout/index.ts";
import { CONTROL, type Gate } from "./gate.ts";
import type { Log, Properties } from "./options.ts";

/** Records a line of a level, by its index in LEVELS. */
type Write<Target> = (
  level: number,
  target: Target,
  message: unknown,
  properties: Properties | Error | undefined,
) => void;

export interface Loggers<Target> {
  make(target: Target): Log;
  /** The ring is elsewhere from now on: what operators ask for too. */
  move(): void;
}

export function loggersOf<Target>(gate: Gate, write: Write<Target>): Loggers<Target> {
  const { level: at } = CONTROL;
  // One variable for all of them, because what an operator asks for is looked at with each call.
  let { control } = gate;
  const method = (level: number, target: Target): Log["info"] =>
    gate.isUsual(level)
      ? (message, properties) => {
          if (control[at] !== 0 && gate.hidesLog(level)) return;
          write(level, target, message, properties);
        }
      : (message, properties) => {
          if (control[at] === 0 || gate.hidesLog(level)) return;
          write(level, target, message, properties);
        };
  return {
    make(target) {
      const [fatal, error, warn, info, debug, trace] = LEVELS.map((_, i) => method(i, target)) as [
        ...[Log["info"], Log["info"], Log["info"]],
        ...[Log["info"], Log["info"], Log["info"]],
      ];
      const isEnabled: Log["isEnabled"] = (level) => !gate.hidesLog(LEVELS.indexOf(level));
      return { fatal, error, warn, info, debug, trace, isEnabled };
    },
    move() {
      control = gate.control;
    },
  };
}
