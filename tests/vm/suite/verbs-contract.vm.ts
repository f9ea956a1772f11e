// The mocked device's answers, of Soft-RoCE: see tests/support/verbs-contract.ts.

import { verbsContract } from "../../support/verbs-contract.ts";
import { DEVICE } from "./support/rig.ts";

verbsContract({ name: DEVICE, gidIndex: 1 });
