// What those who push have to know of the snapshots that they are handed.

import type { ClashLog } from "../../exposition/index.ts";

export interface PushSource {
  /** They were taken long ago: how fast they come says nothing of the agents. */
  isRecorded: boolean;
  /** Told what a person should know, in words. */
  onNotice: (text: string) => void;
  /** Reports and counts clashes of names. */
  clashes: ClashLog;
}
