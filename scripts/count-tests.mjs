// Prints `passed failed skipped` of a vitest JSON report. A file that could not be loaded counts as one failure.
import { readFileSync } from 'node:fs';

const report = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const counts = { passed: 0, failed: 0, skipped: 0 };
for (const file of report.testResults) {
  if (file.assertionResults.length === 0 && file.status === 'failed') counts.failed++;
  for (const { status } of file.assertionResults) {
    if (status === 'passed') counts.passed++;
    else if (status === 'failed') counts.failed++;
    else counts.skipped++;
  }
}
console.log(counts.passed, counts.failed, counts.skipped);
