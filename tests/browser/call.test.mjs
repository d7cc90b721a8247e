// Two people in two browsers: they see each other directly, write to each other, mute, share, leave.

import assert from 'node:assert/strict';

import { CAMERA } from './lib/browser.mjs';
import { freshRoom, stage } from './lib/stage.mjs';
import { until } from './lib/wait.mjs';

const SCREEN = '--auto-select-desktop-capture-source=Entire screen';
const { scene } = stage([CAMERA, [...CAMERA, SCREEN]]);

scene('two browsers hold a direct call', async ({ join }) => {
  const room = freshRoom();
  const ada = await join(0, room, 'Ada');
  await ada.seesPeople(1);
  const ben = await join(1, room, 'Ben');
  await ada.seesFrames();
  await ben.seesFrames();
  for (const person of [ada, ben]) {
    const { local, remote } = await person.connection();
    assert.notEqual(local, 'relay', `${person.name}'s own end`);
    assert.notEqual(remote, 'relay', `${person.name}'s far end`);
    await person.seesPath('direct');
    await person.seesPeople(2);
  }

  await ada.says('Hello Ben');
  await until('Ben has an unread message', () => ben.page.isVisible('#unread'));
  await ben.says('Hello Ada, <b>all well</b>?');
  await ben.hears('Ada', 'Hello Ben');
  await ada.hears('Ben', 'Hello Ada, <b>all well</b>?');
  assert.equal(await ben.page.isVisible('#unread'), false, 'what was read is not unread');
});

scene('mute, camera off and leaving are seen by the other', async ({ join }) => {
  const room = freshRoom();
  const ada = await join(0, room, 'Ada');
  const ben = await join(1, room, 'Ben');
  await Promise.all([ada.seesFrames(), ben.seesFrames()]);

  await ada.page.click('#mic');
  await ben.seesMuted('Ada', true);
  await ada.page.click('#mic');
  await ben.seesMuted('Ada', false);

  const adasPicture = () => ben.page.getAttribute('.tile[aria-label="Ada"]', 'data-picture');
  await ada.page.click('#camera');
  await until('Ben sees initials', async () => (await adasPicture()) === 'none');
  await ada.page.click('#camera');
  await until('Ben sees the camera again', async () => (await adasPicture()) === 'camera');
  await ben.seesFrames();

  await ada.page.click('#leave');
  assert.match(await ada.page.innerText('#stop'), /You have left the call/);
  await ben.seesPeople(1, 5_000);
});

scene('a shared screen takes the place of the camera, and gives it back', async ({ join }) => {
  const room = freshRoom();
  const ada = await join(0, room, 'Ada');
  const ben = await join(1, room, 'Ben');
  await Promise.all([ada.seesFrames(), ben.seesFrames()]);
  const bensPicture = () => ada.page.getAttribute('.tile[aria-label="Ben"]', 'data-picture');
  await ben.page.click('#screen');
  await until('Ada sees the screen', async () => (await bensPicture()) === 'screen');
  await ben.page.click('#screen');
  await until('Ada sees the camera again', async () => (await bensPicture()) === 'camera');
  await ada.seesFrames();
});

scene('the chart and the path of each end are shown', async ({ join }) => {
  const room = freshRoom();
  const ada = await join(0, room, 'Ada');
  await join(1, room, 'Ben');
  await ada.seesFrames();
  await ada.page.click('.path-chip');
  await until('bitrates are drawn', () => ada.page.evaluate(() => (
    document.querySelectorAll('.chart.bitrate polyline').length === 2
    && /[1-9]\d* kbit\/s/.test(document.querySelector('.chart-legend').textContent))));
  assert.match(await ada.page.innerText('.end-local'), /^(host|srflx|prflx) \(UDP\): /);
  assert.match(await ada.page.innerText('.end-remote'), /^(host|srflx|prflx) \(UDP\): /);
});
