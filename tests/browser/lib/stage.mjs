// What every test file needs: the servers, browsers, and the end of both. Files call `stage()` once, at the top.

import { rm } from 'node:fs/promises';
import { after, before, test } from 'node:test';

import { launch } from './browser.mjs';
import { Person } from './person.mjs';
import { Suite } from './suite.mjs';
import { homeThatTrusts } from './trust.mjs';

const TEST_MS = 150_000; // a quiet machine needs a tenth of it
let rooms = 0;

/** A room of its own for each test, so that none sees another's people. */
export function freshRoom() {
  rooms += 1;
  return `test-${process.pid}-${rooms}`;
}

/**
 * Starts the servers, and one browser for each entry of `cameras` (lists of arguments), which trusts the servers' certificate
 * where `trusting` says so (turns: needs it); `turnd` are lines for turnd's file. Returns { suite, scene };
 * scene(name, body) is a test whose people are closed at its end, and checked for errors on their pages.
 */
export function stage(cameras, { trusting = false, turnd } = {}) {
  const suite = new Suite({ turnd });
  const browsers = [];
  let home;
  before(async () => {
    await suite.start();
    if (trusting) home = await homeThatTrusts(suite.ca);
    for (const args of cameras) browsers.push(await launch(args, home));
  }, { timeout: 90_000 });
  after(async () => {
    await Promise.all(browsers.map((browser) => browser.close()));
    await suite.stop();
    if (home) await rm(home, { recursive: true, force: true });
  }, { timeout: 30_000 });

  const scene = (name, body) => test(name, { timeout: TEST_MS + 20_000 }, async () => {
    const people = [];
    const keep = async (person) => {
      people.push(await person);
      return people.at(-1);
    };
    try {
      await inTime(body({
        join: (browser, room, who, options) => keep(Person.join(browsers[browser], suite, room, who, options)),
        open: (browser, url, who, options) => keep(Person.open(browsers[browser], url, who, options)),
      }));
      for (const person of people) person.assertClean();
    } catch (error) {
      error.message += `\n${people.map((person) => `${person.name}'s console: ${JSON.stringify(person.errors)}`).join('\n')}`
        + `\nend of the servers' log:\n${suite.log.split('\n').slice(-30).join('\n')}`;
      throw error;
    } finally {
      await Promise.all(people.map((person) => person.close()));
    }
  });
  return { suite, scene };
}

/** Our own deadline, before the runner's: its error can still say what the pages and the servers said. */
async function inTime(work) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${TEST_MS / 1000} s`)), TEST_MS);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
