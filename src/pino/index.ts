// Pino over shared memory: what a service logs by pino is recorded as an event.
// `import { microview } from "microview/pino"`

export { type Closable, type Destination, destination, type PinoSource } from "./destination.ts";
export { microview } from "./pino.ts";
