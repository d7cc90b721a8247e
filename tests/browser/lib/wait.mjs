// Waiting with an end: every wait of these tests goes through here.

const EVERY_MS = 100;

export function pause(ms) {
  return new Promise((resolve) => { setTimeout(resolve, ms); });
}

/** The first truthy value of `probe()`. After `withinMs` it throws, with `what` and the last value or error. */
export async function until(what, probe, withinMs = 20_000) {
  const deadline = Date.now() + withinMs;
  let last;
  do {
    try {
      last = await probe();
      if (last) return last;
    } catch (error) {
      last = error.message;
    }
    await pause(EVERY_MS);
  } while (Date.now() < deadline);
  throw new Error(`waited ${withinMs / 1000} s in vain: ${what}; last seen: ${JSON.stringify(last)}`);
}
