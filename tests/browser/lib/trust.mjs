// A home folder whose NSS database trusts one CA. Chromium takes what the user trusts from there, and asks it for the
// certificate of a TURN server too; a person who follows certs/README.md does the same by hand.

import { execFile } from 'node:child_process';
import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export async function homeThatTrusts(ca) {
  const home = await mkdtemp(join(tmpdir(), 'viaduct-home-'));
  const database = join(home, '.pki', 'nssdb');
  await mkdir(database, { recursive: true });
  try {
    await run('certutil', ['-d', `sql:${database}`, '-N', '--empty-password']);
    await run('certutil', ['-d', `sql:${database}`, '-A', '-t', 'C,,', '-n', 'viaduct', '-i', ca]);
  } catch (error) {
    if (error.code === 'ENOENT') throw new Error('certutil is missing: run scripts/setup --test (package libnss3-tools)');
    throw error;
  }
  return home;
}
