// Chromium as these tests need it: headless, as root in a bare container if need be, with a made-up camera.

import { chromium } from 'playwright-core';

const ALWAYS = [
  '--no-sandbox', // root in a container has no sandbox
  '--disable-dev-shm-usage', '--disable-gpu', '--disable-background-networking', '--disable-component-update',
  '--disable-extensions', '--mute-audio',
  '--allow-loopback-in-peer-connection', // there may be no other interface
];

export const CAMERA = ['--use-fake-device-for-media-stream=fps=5', '--use-fake-ui-for-media-stream'];

/** A camera is there, but nobody allows it: the question that Chromium would put to a person is answered by no. */
export const CAMERA_DENIED = ['--use-fake-device-for-media-stream=fps=5'];

/** A microphone, no camera. */
export const NO_CAMERA = ['--use-fake-device-for-media-stream=device-count=0', '--use-fake-ui-for-media-stream'];

/** `home`: the folder that stands for the user's, where there is a CA to trust (trust.mjs). */
export function launch(args = CAMERA, home = process.env.HOME) {
  return chromium.launch({
    executablePath: process.env.VIADUCT_CHROMIUM, headless: true, args: [...ALWAYS, ...args], timeout: 60_000,
    env: { ...process.env, HOME: home },
  });
}
