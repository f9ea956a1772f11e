// Maintenance: files are made, merged, and dropped at their paces. For the rest of the lake.

export { LakeMaintenance, type Pace } from "./maintenance.ts";
