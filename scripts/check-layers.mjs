// Runs dependency-cruiser over src/ and fails on a forbidden import, and also when it saw fewer modules than there
// are files: with a parser it cannot load, dependency-cruiser reports "0 modules" and exits 0.
import { readdirSync } from 'node:fs';
import { cruise } from 'dependency-cruiser';
import config from '../.dependency-cruiser.cjs';

const files = readdirSync('src', { recursive: true }).filter((name) => name.endsWith('.ts')).length;
const { output } = await cruise(['src'], { ruleSet: config, validate: true, ...config.options });
const seen = output.modules.filter((module) => module.source.startsWith('src/')).length;
for (const { rule, from, to } of output.summary.violations) console.error(`${rule.name}: ${from} -> ${to}`);
if (seen < files) console.error(`layers: saw ${seen} modules of ${files}; the check itself is broken`);
if (output.summary.violations.length > 0 || seen < files) process.exit(1);
console.log(`layers: ${seen} modules, every import allowed`);
