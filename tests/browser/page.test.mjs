// The page itself: by keyboard alone, on a phone, over HTTPS, and under its Content-Security-Policy.

import assert from 'node:assert/strict';

import { CAMERA } from './lib/browser.mjs';
import { freshRoom, stage } from './lib/stage.mjs';
import { until } from './lib/wait.mjs';

const { suite, scene } = stage([CAMERA]);
const PHONE = { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true };

function focused(page) {
  return page.evaluate(() => document.activeElement.id);
}

scene('a call by keyboard alone', async ({ open }) => {
  const room = freshRoom();
  const ada = await open(0, `${suite.url}/r/${room}?save=1`, 'Ada');
  const { page } = ada;
  await until('the name has the focus', async () => (await focused(page)) === 'name');
  await page.keyboard.type('Ada');
  await page.keyboard.press('Tab');
  assert.equal(await focused(page), 'room');
  for (let i = 0; i < 5 && (await focused(page)) !== 'join-button'; i += 1) await page.keyboard.press('Tab');
  assert.equal(await focused(page), 'join-button');
  assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).boxShadow), 'none', 'the focus is visible');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#call:not([hidden])');
  assert.equal(await focused(page), 'mic');

  await until('the microphone is on', async () => (await page.getAttribute('#mic', 'aria-pressed')) === 'true');
  await page.keyboard.press('m');
  assert.equal(await page.getAttribute('#mic', 'aria-pressed'), 'false');
  assert.match(await page.innerText('#remarks'), /You are muted/, 'and it is read out');
  await page.keyboard.press('c');
  assert.equal(await focused(page), 'chat-text');
  await page.keyboard.type('m'); // writing is not unmuting
  assert.equal(await page.getAttribute('#mic', 'aria-pressed'), 'false');
  assert.equal(await page.inputValue('#chat-text'), 'm');
  await page.keyboard.press('Escape');
  assert.equal(await page.isVisible('#chat-panel'), false);
  assert.equal(await focused(page), 'chat');
  await page.keyboard.press('?');
  assert.equal(await page.isVisible('#help-dialog'), true);
  await page.keyboard.press('Escape');
  assert.equal(await page.isVisible('#help-dialog'), false);
});

function namelessControls(page) {
  return page.evaluate(() => [...document.querySelectorAll('button, input, textarea, a')]
    .filter((node) => node.checkVisibility())
    .filter((node) => !(node.getAttribute('aria-label') || node.innerText?.trim() || node.labels?.[0]?.innerText))
    .map((node) => node.outerHTML));
}

scene('every control has a name', async ({ open }) => {
  const ada = await open(0, `${suite.url}/r/${freshRoom()}?save=1`, 'Ada');
  assert.deepEqual(await namelessControls(ada.page), [], 'before the call');
  await ada.enter();
  for (const panel of ['chat', 'path']) {
    await ada.page.click(`#${panel}`);
    assert.deepEqual(await namelessControls(ada.page), [], `in the call, with the panel ${panel}`);
  }
  await ada.page.click('#leave');
  assert.deepEqual(await namelessControls(ada.page), [], 'after the call');
});

scene('nothing is wider than a phone', async ({ open, join }) => {
  const room = freshRoom();
  // Not innerWidth: on a phone it grows with what is too wide.
  const fits = async ({ page }) => (await page.evaluate(() => document.documentElement.scrollWidth)) <= PHONE.viewport.width;
  const ada = await open(0, `${suite.url}/r/${room}?save=1`, 'Ada', PHONE);
  assert.equal(await fits(ada), true, 'before the call');
  await ada.enter();
  assert.equal(await fits(ada), true, 'alone');
  await join(0, room, 'A name as long as names may be, 40 signs');
  await ada.seesPeople(2);
  assert.equal(await fits(ada), true, 'with another');
  for (const panel of ['chat', 'path']) {
    await ada.page.click(`#${panel}`);
    assert.equal(await fits(ada), true, `with the panel ${panel}`);
    await ada.page.click(`#${panel}-panel .close`);
  }
  const small = await ada.page.evaluate(() => [...document.querySelectorAll('.controls button')]
    .filter((node) => node.checkVisibility()).map((node) => node.getBoundingClientRect())
    .filter(({ width, height }) => width < 44 || height < 44).length);
  assert.equal(small, 0, 'every control is at least 44 by 44');
});

scene('over HTTPS the same page, with signalling over TLS', async ({ open }) => {
  const ada = await open(0, `${suite.secureUrl}/`, 'Ada', { ignoreHTTPSErrors: true });
  await until('the server is there', async () => (await ada.page.innerText('#join-server')).includes('The server is there'));
  assert.match(await ada.page.evaluate(() => window.viaductTest.sockets.at(-1).url), /^wss:/);
});

scene('the Content-Security-Policy allows nothing inline', async ({ open }) => {
  const response = await fetch(`${suite.url}/`);
  const policy = response.headers.get('content-security-policy') ?? '';
  assert.match(policy, /default-src 'self'/);
  assert.doesNotMatch(policy, /unsafe/);
  const ada = await open(0, `${suite.url}/`, 'Ada');
  ada.expect(/CSP: script-src|Content Security Policy/);
  const ran = await ada.page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'window.inlineRan = true';
    document.head.append(script);
    return Boolean(window.inlineRan);
  });
  assert.equal(ran, false);
  await until('the violation is reported', () => ada.errors.some((text) => text.startsWith('CSP:')));
});
