// The view before the call: preview, name, room. Reports 'join' with { name, room, relay }.

import { Emitter } from '../emitter.js';
import { roomName } from '../random.js';
import { mediaTrouble } from '../troubles.js';
import { Countdown, waitingWords } from './countdown.js';
import { $, setText, setToggle, showAvatar, showStream } from './dom.js';

export class JoinView extends Emitter {
  #media;
  #countdown = new Countdown();

  constructor({ media, signalling, name, room, relay }) {
    super();
    this.#media = media;
    $('name').value = name;
    $('room').value = room || roomName();
    $('join-relay').checked = Boolean(relay);
    setText($('join-title'), room ? 'Ready to come in?' : 'Start a call');
    if (room) setText($('join-lead'), `You were invited to “${room}”. Have a look at yourself, then join.`);
    this.#listen(signalling);
    media.on('change', () => this.#showMedia());
    signalling.on('state', (state) => this.#showServer(state));
    this.#showServer({ state: signalling.state });
    this.#showMedia();
  }

  show() {
    document.title = 'Viaduct: a call';
    $('join').hidden = false;
    if (matchMedia('(pointer: coarse)').matches) return; // would bring up the keyboard over the preview
    ($('name').value ? $('join-button') : $('name')).focus({ preventScroll: true });
  }

  hide() {
    $('join').hidden = true;
  }

  #listen(signalling) {
    $('join-form').onsubmit = (event) => {
      event.preventDefault();
      const room = $('room').value.trim();
      if (room) this.emit('join', { name: $('name').value.trim(), room, relay: $('join-relay').checked });
    };
    $('room-another').onclick = () => { $('room').value = roomName(); };
    $('preview-mic').onclick = () => this.#media.setMic(!this.#media.micOn);
    $('preview-camera').onclick = () => this.#media.setCamera(!this.#media.cameraOn);
    $('media-retry').onclick = () => this.#media.open();
    $('name').oninput = () => showAvatar($('preview-avatar'), $('name').value || 'You');
    $('join-server-retry').onclick = () => signalling.retryNow();
  }

  #showMedia() {
    const { audio, camera, micOn, cameraOn, stream, supported } = this.#media;
    const video = $('preview-video');
    showStream(video, camera ? stream : null);
    video.hidden = !camera;
    $('preview-empty').hidden = Boolean(camera);
    showAvatar($('preview-avatar'), $('name').value || 'You');
    setText($('preview-caption'), camera ? '' : captionOf(this.#media));
    const hear = Boolean(audio) && micOn;
    setToggle($('preview-mic'), hear, { icon: hear ? 'mic' : 'mic-off', words: hear ? 'Mute the microphone' : 'Switch the microphone on' });
    const see = Boolean(camera);
    setToggle($('preview-camera'), see, { icon: see ? 'camera' : 'camera-off', words: see ? 'Switch the camera off' : 'Switch the camera on' });
    $('preview-mic').disabled = !audio;
    $('preview-camera').disabled = !camera && cameraOn;
    this.#showTrouble(supported);
  }

  #showTrouble(canRetry) {
    const trouble = mediaTrouble(this.#media);
    $('media-trouble').hidden = !trouble;
    if (!trouble) return;
    setText($('media-trouble-title'), trouble.title);
    setText($('media-trouble-text'), trouble.text);
    $('media-retry').hidden = !canRetry;
  }

  #showServer({ state, retryAt }) {
    const line = $('join-server');
    line.dataset.state = state;
    const away = state === 'waiting';
    $('join-server-retry').hidden = !away;
    this.#countdown.stop();
    if (!away) return setText($('join-server-text'), state === 'open' ? 'The server is there.' : 'Looking for the server…');
    this.#countdown.start(retryAt, (seconds) => {
      setText($('join-server-text'), `The server does not answer. ${waitingWords(seconds)}`);
    });
  }
}

function captionOf({ cameraOn, problems, supported }) {
  if (!cameraOn) return 'The camera is off';
  if (problems.video || !supported) return 'No picture of you';
  return 'Asking for the camera…';
}
