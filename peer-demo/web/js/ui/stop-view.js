// The page instead of a call: what happened, and what to do. Its words are in troubles.js.

import { STOPS } from '../troubles.js';
import { $ } from './dom.js';

export function showStop(code, onRetry) {
  const { title, text, retry } = STOPS[code];
  $('stop-title').textContent = title;
  $('stop-text').textContent = text;
  const button = $('stop-retry');
  button.hidden = !retry;
  button.textContent = retry ?? '';
  button.onclick = onRetry;
  $('stop-other').hidden = code === 'no-webrtc';
  document.title = `${title} · Viaduct`;
  $('stop').hidden = false;
  $('stop-title').focus(); // read out at once, and Tab goes on to what can be done
}
