// What several receivers' formats are made of: exponential histograms.

export { exponentialError, exponentialMap, toExponential } from "./exponential.ts";
