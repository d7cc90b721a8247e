// The few helpers that every part of the view uses. All text goes in as text, never as HTML.

export function $(id) {
  return document.getElementById(id);
}

export function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

/** A copy of the only element in a <template>. */
export function fromTemplate(id) {
  return $(id).content.firstElementChild.cloneNode(true);
}

export function setIcon(button, name) {
  button.querySelector('use').setAttribute('href', `/icons.svg#${name}`);
}

/** A button that is on or off, with a sign and words that say what a press will do. */
export function setToggle(button, on, { icon, words }) {
  button.setAttribute('aria-pressed', String(on));
  setIcon(button, icon);
  button.querySelector('span').textContent = words;
  button.title = words;
}

/** Leaves the DOM alone when nothing changes, so that screen readers do not repeat themselves. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function showAvatar(node, name) {
  const words = name.trim().split(/\s+/);
  const letters = [words[0], words.length > 1 ? words.at(-1) : ''].map((word) => [...word][0] ?? '').join('');
  setText(node, letters.toUpperCase());
  node.dataset.hue = String([...name].reduce((sum, sign) => sum + sign.codePointAt(0), 0) % 6);
}

/** A stream without tracks stays away from the element: it would hold back the page's load event for ever. */
export function showStream(video, stream) {
  const source = stream?.getTracks().length > 0 ? stream : null;
  if (video.srcObject !== source) video.srcObject = source;
}
