// The chat: what the others write, what you write, and how much of it you have not seen. The last 200 messages stay.

import { Emitter } from '../emitter.js';
import { MOST_CHAT } from '../call.js';
import { $, element } from './dom.js';

const MOST_SHOWN = 200;

export class ChatPanel extends Emitter {
  #log = $('chat-log');
  #field = $('chat-text');
  #unread = 0;
  #lastAuthor = null;

  constructor() {
    super();
    this.#field.maxLength = MOST_CHAT;
    $('chat-form').onsubmit = (event) => {
      event.preventDefault();
      this.#submit();
    };
    this.#field.onkeydown = (event) => {
      // Enter sends, Shift+Enter starts a line; while an input method composes, Enter belongs to it.
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#submit();
    };
  }

  clear() {
    this.#log.replaceChildren();
    this.#lastAuthor = null;
    $('chat-empty').hidden = false;
    this.#setUnread(0);
  }

  opened() {
    this.#setUnread(0);
    this.#field.focus();
    this.#log.scrollTop = this.#log.scrollHeight;
  }

  add({ name, text, mine }) {
    const item = element('li', [mine && 'mine', name === this.#lastAuthor && 'same'].filter(Boolean).join(' '));
    item.append(element('span', 'who', name), element('span', 'text', text));
    this.#lastAuthor = name;
    $('chat-empty').hidden = true;
    this.#log.append(item);
    while (this.#log.childElementCount > MOST_SHOWN) this.#log.firstElementChild.remove();
    this.#log.scrollTop = this.#log.scrollHeight;
    if ($('chat-panel').hidden && !mine) this.#setUnread(this.#unread + 1);
  }

  #submit() {
    const text = this.#field.value.trim();
    if (!text) return;
    let sent = false;
    this.emit('send', { text, done: () => { sent = true; } });
    if (sent) this.#field.value = '';
  }

  #setUnread(count) {
    this.#unread = count;
    $('unread').hidden = count === 0;
    $('unread').textContent = count > 99 ? '99+' : String(count);
    $('chat').setAttribute('aria-label', count ? `Chat, ${count} unread` : 'Chat');
  }
}
