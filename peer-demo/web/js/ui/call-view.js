// The view of a call: the stage with its tiles, the controls, the two panels. It listens to Call, LocalMedia and the client
// of the signalling and turns presses into their methods. Reports 'leave'.

import { Emitter } from '../emitter.js';
import { REMARKS, TRANSPORTS } from '../troubles.js';
import { ChatPanel } from './chat-panel.js';
import { Countdown, waitingWords } from './countdown.js';
import { $, setText, setToggle } from './dom.js';
import { PathPanel } from './path-panel.js';
import { remark } from './remarks.js';
import { prefersShareSheet, roomLink, shareRoom } from './share.js';
import { Tile } from './tile.js';

const LOUD = 0.02; // of inbound-rtp's audioLevel, from 0 to 1
const PANELS = { chat: 'chat-panel', path: 'path-panel' };

export class CallView extends Emitter {
  #media;
  #signalling;
  #call = null;
  #ends = [];
  #tiles = new Map(); // key of a link -> Tile
  #self = new Tile({ self: true });
  #chat = new ChatPanel();
  #paths = new PathPanel();
  #countdown = new Countdown();

  constructor({ media, signalling }) {
    super();
    this.#media = media;
    this.#signalling = signalling;
    this.#listenToButtons();
    this.#chat.on('send', (message) => this.#sendChat(message));
  }

  show(call, { room }) {
    this.#call = call;
    this.#chat.clear();
    this.#paths.clear();
    setText($('call-room'), room);
    setText($('invite-link'), roomLink(room));
    for (const id of ['share-link', 'invite-share']) {
      $(id).onclick = () => shareRoom(room);
      setText($(id).querySelector('span'), prefersShareSheet() ? 'Send link' : 'Copy link');
    }
    $('call-relay').checked = Boolean(call.relay);
    $('call-saving').checked = this.#media.saving;
    $('stage').append(this.#self.node);
    this.#listenToCall(call);
    this.#showMedia();
    this.#showPeople();
    this.#showServer({ state: this.#signalling.state });
    this.#showTransport();
    document.title = `${room} · Viaduct`;
    $('call').hidden = false;
    $('mic').focus({ preventScroll: true });
  }

  hide() {
    for (const end of this.#ends.splice(0)) end();
    for (const tile of this.#tiles.values()) tile.node.remove();
    this.#tiles.clear();
    this.#countdown.stop();
    this.#closePanels();
    this.#call = null;
    $('call').hidden = true;
  }

  /** Closes the open panel, back to the button that opened it. */
  closePanel() {
    for (const [button, panel] of Object.entries(PANELS)) {
      if ($(panel).hidden) continue;
      this.#closePanels();
      $(button).focus();
    }
  }

  #listenToButtons() {
    const media = this.#media;
    $('mic').onclick = () => this.#toggleMic();
    $('camera').onclick = () => media.setCamera(!media.camera);
    $('screen').onclick = () => (media.screen ? media.stopScreen() : media.startScreen());
    $('chat').onclick = () => this.#togglePanel('chat');
    $('path').onclick = () => this.#togglePanel('path');
    $('leave').onclick = () => this.emit('leave');
    $('away-retry').onclick = () => this.#signalling.retryNow();
    $('call-relay').onchange = ({ target }) => this.emit('relay', target.checked);
    $('call-saving').onchange = ({ target }) => media.setSaving(target.checked);
    for (const close of document.querySelectorAll('.panel .close')) close.onclick = () => this.closePanel();
  }

  #listenToCall(call) {
    const on = (source, type, handler) => this.#ends.push(source.on(type, handler));
    on(call, 'links', () => this.#showPeople());
    on(call, 'link', (link) => this.#showLink(link));
    on(call, 'measured', (link) => this.#showMeasures(link));
    on(call, 'arrived', ({ name }) => remark(`${name} is here.`));
    on(call, 'departed', (link) => this.#departed(link));
    on(call, 'chat', (message) => this.#heardChat(message));
    on(this.#media, 'change', () => this.#showMedia());
    on(this.#media, 'problem', (code) => remark(REMARKS[code]));
    on(this.#signalling, 'state', (state) => this.#showServer(state));
    on(this.#signalling, 'transport', () => this.#showTransport());
    on(this.#signalling, 'error', ({ code }) => REMARKS[code] && remark(REMARKS[code]));
  }

  // --- people ---

  #showPeople() {
    const { links } = this.#call;
    for (const link of links.values()) {
      if (!this.#tiles.has(link.key)) this.#addTile(link);
      this.#showLink(link);
    }
    const people = links.size + 1;
    $('stage').dataset.people = String(people);
    setText($('people'), people === 1 ? 'just you' : `${people} people`);
  }

  #addTile(link) {
    const tile = new Tile({ self: false, onPath: () => this.#togglePanel('path') });
    this.#tiles.set(link.key, tile);
    $('stage').insertBefore(tile.node, this.#self.node);
  }

  #showLink(link) {
    const tile = this.#tiles.get(link.key);
    if (!tile) return;
    tile.show({
      name: link.name,
      stream: link.stream,
      picture: pictureOf(link),
      muted: link.remote.mic === false,
      state: link.state,
      status: statusOf(link),
    });
    this.#paths.show(link);
    tile.play().catch((error) => error.name === 'NotAllowedError' && this.#askForClick());
  }

  #showMeasures(link) {
    const tile = this.#tiles.get(link.key);
    if (!tile) return;
    tile.showPath(link.connected ? link.path : null);
    tile.speak(link.level > LOUD);
    this.#paths.show(link);
  }

  #departed(link) {
    this.#tiles.get(link.key)?.node.remove();
    this.#tiles.delete(link.key);
    this.#paths.remove(link);
    remark(`${link.name} has left.`);
  }

  /** Some browsers play sound only after a click on the page. */
  #askForClick() {
    remark('Click anywhere to hear the others.');
    document.addEventListener('click', () => {
      for (const tile of this.#tiles.values()) tile.play().catch(() => {});
    }, { once: true });
  }

  // --- yourself ---

  #toggleMic() {
    if (!this.#media.audio) return remark('There is no microphone to switch on. Plug one in, or allow it, and come in again.');
    this.#media.setMic(!this.#media.micOn);
    remark(this.#media.micOn ? 'The others can hear you.' : 'You are muted.');
  }

  #showMedia() {
    const { audio, camera, screen, micOn, stream, canShareScreen, problems } = this.#media;
    const hear = Boolean(audio) && micOn;
    setToggle($('mic'), hear, { icon: hear ? 'mic' : 'mic-off', words: hear ? 'Mute' : 'Unmute' });
    setToggle($('camera'), Boolean(camera), { icon: camera ? 'camera' : 'camera-off', words: camera ? 'Camera off' : 'Camera on' });
    setToggle($('screen'), Boolean(screen), { icon: 'screen', words: screen ? 'Stop sharing' : 'Share screen' });
    $('screen').hidden = !canShareScreen;
    if (problems.video && !camera && this.#media.cameraOn) $('camera').title = 'The camera does not start';
    this.#self.show({ name: 'You', stream, picture: ownPicture(this.#media), muted: !hear });
    this.#self.play().catch(() => {}); // only a picture; it starts with the next change
  }

  // --- panels ---

  #togglePanel(name) {
    const open = $(PANELS[name]).hidden;
    this.#closePanels();
    if (!open) return;
    $(PANELS[name]).hidden = false;
    $(name).setAttribute('aria-expanded', 'true');
    if (name === 'chat') return this.#chat.opened();
    for (const link of this.#call.links.values()) this.#paths.show(link);
    $(PANELS[name]).querySelector('.close').focus();
  }

  #closePanels() {
    for (const [button, panel] of Object.entries(PANELS)) {
      $(panel).hidden = true;
      $(button).setAttribute('aria-expanded', 'false');
    }
  }

  #sendChat({ text, done }) {
    if (this.#call.links.size === 0) return remark('Nobody else is here to read it.');
    if (this.#call.sendChat(text) === 0) return remark(REMARKS['chat-undelivered']);
    this.#chat.add({ name: 'You', text, mine: true });
    done();
  }

  #heardChat({ name, text }) {
    this.#chat.add({ name, text });
    if ($('chat-panel').hidden) remark(`${name}: ${text.length > 80 ? `${text.slice(0, 80)}…` : text}`);
  }

  // --- the server ---

  #showServer({ state, retryAt }) {
    this.#countdown.stop();
    $('away').hidden = state === 'open' || (state === 'connecting' && $('away').hidden);
    $('away-retry').hidden = state !== 'waiting';
    if (state === 'waiting') {
      this.#countdown.start(retryAt, (seconds) => {
        setText($('away-text'), `The server is away. Your call goes on. ${waitingWords(seconds)}`);
      });
    } else if (state === 'connecting') setText($('away-text'), 'The server is away. Your call goes on. Trying again…');
  }

  #showTransport() {
    const words = TRANSPORTS[this.#signalling.transport];
    if (words) setText($('server-transport'), `To the server: ${words}.`);
  }
}

/** What the other page says about its picture counts; for a program that says nothing, what arrives does. */
function pictureOf({ remote, stream }) {
  if (remote.screen) return 'screen';
  const [track] = stream.getVideoTracks();
  const arriving = Boolean(track) && !track.muted;
  return arriving && remote.camera !== false ? 'camera' : 'none';
}

function ownPicture({ screen, camera }) {
  if (screen) return 'screen';
  return camera ? 'camera' : 'none';
}

function statusOf({ state, isLost, connected }) {
  if (connected) return null;
  if (isLost) return 'Lost: waiting for them to come back…';
  return state === 'reconnecting' ? 'Reconnecting…' : 'Connecting…';
}
