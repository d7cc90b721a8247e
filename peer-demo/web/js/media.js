// Your own camera, microphone and screen. Whatever is missing or refused, the rest goes on: `problems` says what is
// missing and why, by a key of troubles.js.
//
// Events: change (a track came, went or was switched), problem (a key of troubles.js).

import { Emitter } from './emitter.js';

const QUALITY = {
  normal: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 24, max: 30 } },
  saving: { width: { ideal: 320 }, height: { ideal: 180 }, frameRate: { ideal: 12, max: 15 } },
};
const SOUND = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

/** What getUserMedia's errors mean (Media Capture and Streams, §10). */
const CAUSES = {
  NotAllowedError: 'denied',
  SecurityError: 'denied',
  NotFoundError: 'missing',
  OverconstrainedError: 'missing',
  NotReadableError: 'busy',
  AbortError: 'busy',
};

export class LocalMedia extends Emitter {
  stream = new MediaStream(); // names the streams that belong together, and feeds the preview
  audio = null;
  camera = null;
  screen = null;
  micOn = true;
  cameraOn = true;
  saving = false;
  problems = {}; // 'audio' | 'video' -> 'denied' | 'missing' | 'busy'

  /** The picture that the others get: the screen while it is shared. */
  get video() {
    return this.screen ?? this.camera;
  }

  get supported() {
    return Boolean(navigator.mediaDevices?.getUserMedia);
  }

  get canShareScreen() {
    return Boolean(navigator.mediaDevices?.getDisplayMedia);
  }

  /** Asks for what is switched on and not there yet. Never throws. */
  async open() {
    const kinds = [!this.audio && 'audio', !this.camera && this.cameraOn && 'video'].filter(Boolean);
    if (!this.supported || kinds.length === 0) return;
    this.problems = {};
    const error = await this.#request(kinds);
    if (error && kinds.length > 1) await this.#requestOneByOne(kinds);
    else if (error) this.problems[kinds[0]] = causeOf(error);
    this.emit('change');
  }

  setMic(on) {
    this.micOn = on;
    if (this.audio) this.audio.enabled = on;
    this.emit('change');
  }

  /** Off really is off: the camera is released and its light goes out. */
  async setCamera(on) {
    this.cameraOn = on;
    if (on) return this.open();
    this.#drop('camera');
    this.emit('change');
  }

  async setSaving(saving) {
    this.saving = saving;
    // A camera that cannot do it goes on as it was.
    await this.camera?.applyConstraints(QUALITY[saving ? 'saving' : 'normal']).catch(() => {});
    this.emit('change');
  }

  async startScreen() {
    try {
      const stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 15 } }, audio: false });
      const [track] = stream.getVideoTracks();
      track.contentHint = 'detail';
      track.onended = () => this.stopScreen(); // the browser's own "stop sharing"
      this.screen = track;
      this.#rebuildStream();
    } catch (error) {
      // Closing the chooser is no problem worth a word, and the browser reports it as a denial.
      if (error.name !== 'NotAllowedError') this.emit('problem', 'screen-failed');
    }
    this.emit('change');
  }

  stopScreen() {
    this.#drop('screen');
    this.emit('change');
  }

  close() {
    for (const name of ['audio', 'camera', 'screen']) this.#drop(name);
    this.silence();
  }

  /** Null, or the error that the browser gave. */
  async #request(kinds) {
    try {
      const stream = await navigator.mediaDevices.getUserMedia({
        audio: kinds.includes('audio') && SOUND,
        video: kinds.includes('video') && QUALITY[this.saving ? 'saving' : 'normal'],
      });
      for (const track of stream.getTracks()) this.#take(track);
      return null;
    } catch (error) {
      return error;
    }
  }

  /** One of the two may still be there. Nobody is asked twice: a refusal is only retried for what is granted already. */
  async #requestOneByOne(kinds) {
    for (const kind of kinds) {
      const permission = await permissionOf(kind);
      const error = permission === 'denied' ? { name: 'NotAllowedError' } : await this.#request([kind]);
      if (error) this.problems[kind] = causeOf(error);
      if (error?.name === 'NotAllowedError' && permission !== 'denied') return this.#blameRest(kinds, kind);
    }
  }

  #blameRest(kinds, refused) {
    for (const kind of kinds.slice(kinds.indexOf(refused))) this.problems[kind] = 'denied';
  }

  #take(track) {
    const name = track.kind === 'audio' ? 'audio' : 'camera';
    this.#drop(name);
    this[name] = track;
    if (name === 'audio') track.enabled = this.micOn;
    track.onended = () => this.#unplugged(track, name);
    this.#rebuildStream();
  }

  #unplugged(track, name) {
    if (this[name] !== track) return;
    this.#drop(name);
    this.problems[track.kind] = 'missing';
    this.emit('problem', name === 'audio' ? 'microphone-lost' : 'camera-lost');
    this.emit('change');
  }

  #drop(name) {
    const track = this[name];
    if (!track) return;
    track.onended = null;
    track.stop();
    this[name] = null;
    this.#rebuildStream();
  }

  /** The same MediaStream all along, so that its id, which the others know, stays. */
  #rebuildStream() {
    const wanted = [this.audio, this.video].filter(Boolean);
    for (const track of this.stream.getTracks()) if (!wanted.includes(track)) this.stream.removeTrack(track);
    for (const track of wanted) this.stream.addTrack(track);
  }
}

function causeOf(error) {
  return CAUSES[error.name] ?? 'busy';
}

async function permissionOf(kind) {
  try {
    const { state } = await navigator.permissions.query({ name: kind === 'audio' ? 'microphone' : 'camera' });
    return state;
  } catch {
    return 'unknown'; // not every browser lets pages ask
  }
}
