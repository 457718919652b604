// Prints `passed failed skipped` of a vitest JSON report. A file that could not be loaded counts as one failure.
// With a second argument, what failed is appended to that file: its name and the first lines of what was said.
import { appendFileSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';

const [, , path, failures] = process.argv;
const report = JSON.parse(readFileSync(path, 'utf8'));
const counts = { passed: 0, failed: 0, skipped: 0 };
const MESSAGE_LINES = 12;

function failed(name, messages) {
  counts.failed++;
  const said = (messages ?? []).join('\n').split('\n').slice(0, MESSAGE_LINES);
  if (failures)
    appendFileSync(failures, [`failed: ${name}`, ...said.map((line) => `    ${line}`), ''].join('\n'));
}

for (const file of report.testResults) {
  const name = relative(process.cwd(), file.name);
  if (file.assertionResults.length === 0 && file.status === 'failed') failed(name, [file.message ?? '']);
  for (const { status, fullName, failureMessages } of file.assertionResults) {
    if (status === 'passed') counts.passed++;
    else if (status === 'failed') failed(`${name}: ${fullName}`, failureMessages);
    else counts.skipped++;
  }
}
console.log(counts.passed, counts.failed, counts.skipped);
