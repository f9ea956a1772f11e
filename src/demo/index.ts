// The demo: a lake, an agent, three small services and their load, each service in a process of its own.

export { parentGone } from "./children.ts";
export { Demo } from "./demo.ts";
export { startDemoLake } from "./lake.ts";
export { startLoad } from "./load.ts";
export { startService } from "./services.ts";
