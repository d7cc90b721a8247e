// The link to a room: the phone's own share sheet where there is one for the hand, the clipboard everywhere else.

import { remark } from './remarks.js';

export function roomLink(room) {
  return new URL(`/r/${encodeURIComponent(room)}`, location.origin).href;
}

export function prefersShareSheet() {
  return Boolean(navigator.share) && matchMedia('(pointer: coarse)').matches;
}

export async function shareRoom(room) {
  const url = roomLink(room);
  if (prefersShareSheet()) {
    // Closing the sheet without sending is no failure.
    await navigator.share({ title: 'A call on Viaduct', url }).catch(() => {});
    return;
  }
  try {
    await navigator.clipboard.writeText(url);
    remark('Link copied. Send it to whoever should come.');
  } catch {
    remark(`Copy this link yourself: ${url}`); // pages over plain HTTP get no clipboard
  }
}
