// What several receivers' formats are made of: protobuf, and exponential histograms.

export { exponentialError, exponentialMap, toExponential } from "./exponential.ts";
