// Counts the results in a JUnit report as `bun test --reporter=junit` writes it.

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/**
 * Adds up the test cases themselves, not the totals in the head, which also count suites.
 *
 * @param xml the report
 */
export function countJunit(xml: string): Counts {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  for (const [, selfClosing, body = ""] of xml.matchAll(
    /<testcase\b(?:[^>"]|"[^"]*")*?(?:(\/)>|>([\s\S]*?)<\/testcase>)/g,
  )) {
    if (selfClosing !== undefined) counts.passed++;
    else if (/<(failure|error)\b/.test(body)) counts.failed++;
    else if (/<skipped\b/.test(body)) counts.skipped++;
    else counts.passed++;
  }
  return counts;
}
