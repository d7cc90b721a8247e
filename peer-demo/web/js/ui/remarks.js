// Short remarks at the foot of the page, read out by screen readers as well: "Ada joined", "You are muted".

import { $, element } from './dom.js';

const SHOWN_MS = 4_500;
const MOST = 3;

export function remark(text) {
  const box = $('remarks');
  if (box.lastElementChild?.textContent === text) return;
  while (box.childElementCount >= MOST) box.firstElementChild.remove();
  const note = element('p', '', text);
  box.append(note);
  setTimeout(() => note.remove(), SHOWN_MS);
}
