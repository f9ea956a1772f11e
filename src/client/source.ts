// The client that a plugin, adapter or provider counts and records with: the program's own, or one that is made for it.
// Called by src/frameworks, src/pino and src/opentelemetry.

import { MicroView, type MicroViewOptions } from "./microview.ts";

/** Either a `MicroView` that is there already, or what is needed to make one. */
export type ClientSource = { mv: MicroView } | (MicroViewOptions & { mv?: never });

export interface OwnedClient {
  mv: MicroView;
  /** Closes what was made here. One that was given is left to its giver. */
  close(): Promise<void>;
}

/** @throws DefinitionError for an `app` or `service` that breaks a rule */
export function clientOf(source: ClientSource): OwnedClient {
  if (source.mv !== undefined) return { mv: source.mv, close: async () => {} };
  const mv = new MicroView(source);
  return { mv, close: () => mv.close() };
}
