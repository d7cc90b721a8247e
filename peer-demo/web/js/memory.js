// What the page remembers from one visit to the next: your name and your switches, in this browser alone.

const PREFIX = 'viaduct.';

export function remember(key, value) {
  try {
    localStorage.setItem(PREFIX + key, value);
  } catch {
    // Storage may be full or forbidden; then the next visit asks again.
  }
}

export function recall(key) {
  try {
    return localStorage.getItem(PREFIX + key);
  } catch {
    return null;
  }
}
