// Maintenance, for the lake's server.

export { LakeMaintenance, type Pace } from "./maintenance.ts";
