// Runs browser tests by name; ctest calls it once for each.
//
//   node run.mjs               all of them
//   node run.mjs relay page    relay.test.mjs and page.test.mjs
//   node run.mjs --screenshot  no test: makes docs/call.png anew
//
// VIADUCT_BIN is the folder of the built programs (build/bin by default), VIADUCT_CHROMIUM the browser.

import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
process.env.VIADUCT_BIN ??= fileURLToPath(new URL('../../build/bin', import.meta.url));
process.env.VIADUCT_CHROMIUM ??= '/usr/bin/chromium';

function demand(path, what) {
  if (existsSync(path)) return;
  console.error(`browser tests need ${what}, and ${path} is not there: run scripts/setup --test`);
  process.exit(1);
}

demand(`${here}node_modules/playwright-core/package.json`, 'playwright-core');
demand(process.env.VIADUCT_CHROMIUM, 'Chromium');
if (!existsSync(`${process.env.VIADUCT_BIN}/viaduct`)) {
  console.error(`browser tests need the built programs, and ${process.env.VIADUCT_BIN}/viaduct is not there: build first`);
  process.exit(1);
}

const wanted = process.argv.slice(2);
const all = readdirSync(here).filter((file) => file.endsWith('.test.mjs')).map((file) => file.slice(0, -'.test.mjs'.length));
const unknown = wanted.filter((name) => name !== '--screenshot' && !all.includes(name));
if (unknown.length > 0) {
  console.error(`no such browser test: ${unknown.join(', ')}; there are ${all.join(', ')}`);
  process.exit(2);
}

if (wanted.includes('--screenshot')) await import('./screenshot.mjs');
else for (const name of wanted.length > 0 ? wanted : all) await import(`./${name}.test.mjs`);
