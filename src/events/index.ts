// Events of this host's services: finds their rings in shared memory, reads what is recorded there as it comes, and ships it.

export { EventFollower, type EventRow } from "./follower.ts";
export { RingKeeper } from "./keeper.ts";
export { type EventRule, EventRules, type RuleScope, type RulesChange } from "./settings.ts";
export type { ShippingOptions, ShippingStatus } from "./shipping/protocol.ts";
export { EventShipping } from "./shipping/shipping.ts";
