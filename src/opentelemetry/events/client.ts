// The client that a provider of spans or logs records with: the program's own, or one that is made for it.

import { MicroView, type MicroViewOptions, warnOnStderr } from "../../client/index.ts";
import { Diagnostics } from "../api.ts";
import { identityOf, type Resource } from "../identity.ts";

/** Either a `MicroView` that is there already, or what is needed to make one; the environment tells what is not given. */
export type EventsProviderOptions = (
  | { mv: MicroView }
  | (Partial<MicroViewOptions> & { mv?: never })
) & {
  /** Gives `service.name` and `service.namespace`, where `service` and `app` are not given. Nothing else of it is kept. */
  resource?: Resource;
};

export interface OwnedClient {
  mv: MicroView;
  diagnostics: Diagnostics;
  /** What was made here is closed here. */
  close(): Promise<void>;
}

/** @throws DefinitionError for an `app` or `service` that breaks a rule */
export function clientOf(options: EventsProviderOptions): OwnedClient {
  if (options.mv !== undefined) {
    return { mv: options.mv, diagnostics: new Diagnostics(() => {}), close: async () => {} };
  }
  const { socket, poolDir, events, onWarning = warnOnStderr } = options;
  const diagnostics = new Diagnostics(onWarning);
  const found = identityOf(options.resource, process.env, diagnostics);
  const mv = new MicroView({
    app: options.app ?? found.app,
    service: options.service ?? found.service,
    ...(socket === undefined ? {} : { socket }),
    ...(poolDir === undefined ? {} : { poolDir }),
    ...(events === undefined ? {} : { events }),
    onWarning,
  });
  return { mv, diagnostics, close: () => mv.close() };
}
