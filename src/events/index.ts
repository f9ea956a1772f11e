// Events of this host's services: finds their rings in shared memory, and reads what is recorded there as it comes.

export { EventFollower, type EventRow } from "./follower.ts";
export { RingKeeper } from "./keeper.ts";
