// The client that a provider of spans or logs records with; one that is made is named by the environment and a resource.

import {
  type ClientSource,
  clientOf,
  type MicroViewOptions,
  type OwnedClient,
  warnOnStderr,
} from "../../client/index.ts";
import { Diagnostics } from "../api.ts";
import { identityOf, type Resource } from "../identity.ts";

/** Either a `MicroView` that is there already, or what is needed to make one; the environment tells what is not given. */
export type EventsProviderOptions = (
  | Extract<ClientSource, { mv: unknown }>
  | (Partial<MicroViewOptions> & { mv?: never })
) & {
  /** Gives `service.name` and `service.namespace`, where `service` and `app` are not given. Nothing else of it is kept. */
  resource?: Resource;
};

export interface ProviderClient extends OwnedClient {
  diagnostics: Diagnostics;
}

/** @throws DefinitionError for an `app` or `service` that breaks a rule */
export function providerClient(options: EventsProviderOptions): ProviderClient {
  if (options.mv !== undefined) {
    return { ...clientOf(options), diagnostics: new Diagnostics(() => {}) };
  }
  const { socket, poolDir, events, onWarning = warnOnStderr } = options;
  const diagnostics = new Diagnostics(onWarning);
  const found = identityOf(options.resource, process.env, diagnostics);
  const client = clientOf({
    app: options.app ?? found.app,
    service: options.service ?? found.service,
    ...(socket === undefined ? {} : { socket }),
    ...(poolDir === undefined ? {} : { poolDir }),
    ...(events === undefined ? {} : { events }),
    onWarning,
  });
  return { ...client, diagnostics };
}
