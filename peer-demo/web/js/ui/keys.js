// Single keys for what is needed often, and the help that lists them. They rest while you write, and can be switched off
// (WCAG 2.1, criterion 2.1.4).

import { remember, recall } from '../memory.js';
import { $ } from './dom.js';

const BUTTONS = { m: 'mic', v: 'camera', s: 'screen', c: 'chat', i: 'path', '?': 'help' };

export function listenForKeys({ onEscape }) {
  const box = $('keys-on');
  box.checked = recall('keys') !== 'off';
  box.onchange = () => remember('keys', box.checked ? 'on' : 'off');
  $('help').onclick = () => $('help-dialog').showModal();
  document.addEventListener('keydown', (event) => {
    if ($('call').hidden || $('help-dialog').open) return;
    if (event.key === 'Escape') return onEscape();
    if (!box.checked || event.ctrlKey || event.metaKey || event.altKey || event.repeat || writing(event.target)) return;
    const button = $(BUTTONS[event.key.toLowerCase()]);
    if (!button || button.disabled || button.hidden) return;
    event.preventDefault();
    button.click();
  });
}

function writing(target) {
  return target.closest('textarea, input:not([type="checkbox"]), [contenteditable]') !== null;
}
