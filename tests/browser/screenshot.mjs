// Makes docs/call.png for the README: two people in a call, drawn here, so that the picture shows nobody. Run by
// `node run.mjs --screenshot`, never by the tests.

import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { launch } from './lib/browser.mjs';
import { Person } from './lib/person.mjs';
import { Suite } from './lib/suite.mjs';
import { pause } from './lib/wait.mjs';

const TARGET = fileURLToPath(new URL('../../docs/call.png', import.meta.url));
const MOST_BYTES = 300_000;
const ROOM = 'golden-heron-k7m2';

/** A drawn person before a drawn wall. */
function portrait({ wall, light, floor, skin, hair, shirt, long, plant }) {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1280 720" width="1280" height="720">
    <defs><radialGradient id="l" cx="${light}" cy=".25" r="1"><stop offset="0" stop-color="#fff" stop-opacity=".5"/><stop offset="1" stop-color="#fff" stop-opacity="0"/></radialGradient></defs>
    <rect width="1280" height="720" fill="${wall}"/><rect width="1280" height="720" fill="url(#l)"/>
    <rect y="640" width="1280" height="80" fill="${floor}"/>
    <g fill="${floor}"><rect x="86" y="210" width="250" height="14" rx="4"/><rect x="86" y="390" width="250" height="14" rx="4"/></g>
    <g><rect x="104" y="118" width="26" height="92" fill="#c9735a"/><rect x="134" y="104" width="22" height="106" fill="#476f86"/><rect x="160" y="126" width="30" height="84" fill="#e3b565"/><rect x="194" y="112" width="18" height="98" fill="#6f8f7c"/>
    <rect x="246" y="304" width="26" height="86" fill="#476f86"/><rect x="276" y="290" width="30" height="100" fill="#c9735a"/></g>
    ${plant ? `<g transform="translate(1080 640)"><path d="M-52-120h104l-14 120h-76z" fill="#b9694c"/><g fill="#4f7c64"><path d="M0-120C-20-220-110-230-120-290c70-10 120 60 120 170M0-120c10-120 60-190 110-210 20 80-40 160-110 210M0-120c-6-120 4-210-24-270-50 60-36 190 24 270"/></g></g>`
    : '<g transform="translate(960 90)"><rect width="230" height="300" rx="8" fill="#fbf6ea"/><rect x="18" y="18" width="194" height="264" rx="3" fill="#bcd6dd"/><path d="M18 210l70-74 52 48 30-26 42 40v84H18z" fill="#7ea38f"/><circle cx="158" cy="80" r="24" fill="#f4d58a"/></g>'}
    <g transform="translate(640 0)">
      ${long ? `<path d="M-150 300c-6-140 60-190 150-190s156 50 150 190l18 210h-336z" fill="${hair}"/>` : ''}
      <path d="M-290 720c8-150 90-200 190-214h200c100 14 182 64 190 214z" fill="${shirt}"/>
      <path d="M-54 430h108v80c-20 44-88 44-108 0z" fill="${skin}"/><path d="M-54 452c30 34 78 34 108 0v22c-30 36-78 36-108 0z" opacity=".12"/>
      <ellipse cy="318" rx="112" ry="142" fill="${skin}"/>
      <path d="${long ? 'M-118 300c-10-116 50-158 118-158s128 42 118 158c-30-30-52-70-60-104-40 40-120 60-176 104z' : 'M-120 300c-14-120 46-172 122-172s132 50 118 170c-10-40-22-66-40-86-54 22-128 20-168-4-16 24-26 52-32 92z'}" fill="${hair}"/>
      <g fill="#2a2421"><ellipse cx="-42" cy="318" rx="9" ry="11"/><ellipse cx="42" cy="318" rx="9" ry="11"/></g>
      <path d="M-38 382c20 26 56 26 76 0z" fill="#fff"/><path d="M-38 382c20 26 56 26 76 0" fill="none" stroke="#8c4a3c" stroke-width="5" stroke-linecap="round"/>
      <g fill="none" stroke="${hair}" stroke-width="7" stroke-linecap="round"><path d="M-60 290q18-14 36-4M60 290q-18-14-36-4"/></g>
    </g></svg>`;
}

const ADA = { wall: '#e9d9c3', light: '.8', floor: '#a9825c', skin: '#e2ab87', hair: '#4a2f26', shirt: '#2f6f60', long: true, plant: true };
const BEN = { wall: '#b9cbd0', light: '.2', floor: '#6f6a63', skin: '#8f5d43', hair: '#1f1a18', shirt: '#d8a24a', long: false, plant: false };

/** A camera that shows `drawing`: one frame of Motion JPEG, which Chromium repeats. */
async function camera(folder, name, drawing, browser) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 720 } });
  await page.setContent(`<style>body{margin:0}svg{display:block}</style>${portrait(drawing)}`);
  const file = join(folder, `${name}.mjpeg`);
  await writeFile(file, await page.screenshot({ type: 'jpeg', quality: 92 }));
  await page.close();
  return ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', `--use-file-for-fake-video-capture=${file}`];
}

const folder = await mkdtemp(join(tmpdir(), 'viaduct-screenshot-'));
const suite = new Suite();
const browsers = [];
try {
  browsers.push(await launch([]));
  const cameras = [await camera(folder, 'ada', ADA, browsers[0]), await camera(folder, 'ben', BEN, browsers[0])];
  await suite.start();
  for (const args of cameras) browsers.push(await launch(args));
  const look = { viewport: { width: 1280, height: 760 }, colorScheme: 'light' };
  const ada = await Person.join(browsers[1], suite, ROOM, 'Ada', { query: 'relay=1', ...look });
  const ben = await Person.join(browsers[2], suite, ROOM, 'Ben', { query: 'relay=1', ...look });
  await ada.seesFrames({ withinMs: 60_000 });
  await ben.seesPath('relayed over UDP');
  await ben.page.click('#path');
  await pause(60_000); // the chart shows the last minute
  await ben.page.screenshot({ path: TARGET });
} finally {
  await Promise.all(browsers.map((browser) => browser.close()));
  await suite.stop();
  await rm(folder, { recursive: true });
}
const { size } = await stat(TARGET);
if (size > MOST_BYTES) throw new Error(`${TARGET} has ${size} bytes; the README allows ${MOST_BYTES}`);
console.log(`wrote ${TARGET}, ${size} bytes`);
