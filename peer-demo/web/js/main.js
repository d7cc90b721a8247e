// Where the page starts: reads the link, makes the parts and leads from one view to the next. Everything else is in the
// modules that it imports; README.md has the order to read them in.

import { Call } from './call.js';
import { relayWish } from './ice-config.js';
import { LocalMedia } from './media.js';
import { remember, recall } from './memory.js';
import { CallView } from './ui/call-view.js';
import { listenForKeys } from './ui/keys.js';
import { JoinView } from './ui/join-view.js';
import { showStop } from './ui/stop-view.js';
import { connect } from '../viaduct.js';

const query = new URLSearchParams(location.search);

function roomFromLink() {
  const [, encoded] = /^\/r\/([^/]+)\/?$/.exec(location.pathname) ?? [];
  try {
    return decodeURIComponent(encoded ?? '');
  } catch {
    return ''; // not a name in UTF-8: as if there were none
  }
}

class Page {
  #media = new LocalMedia();
  #signalling = connect(location.origin);
  #relay = relayWish(query.get('relay'));
  #call = null;
  #joinView;
  #callView;

  start() {
    this.#media.saving = query.has('save');
    this.#joinView = new JoinView({
      media: this.#media, signalling: this.#signalling, name: recall('name') ?? '', room: roomFromLink(), relay: this.#relay,
    });
    this.#callView = new CallView({ media: this.#media, signalling: this.#signalling });
    this.#joinView.on('join', (entry) => this.#enter(entry));
    this.#callView.on('leave', () => this.#leave('left'));
    this.#callView.on('relay', (on) => this.#call.setRelay(this.#relayChoice(on)));
    this.#watchNetwork();
    listenForKeys({ onEscape: () => this.#callView.closePanel() });
    this.#signalling.on('state', ({ reason }) => this.#refusedAtTheDoor(reason));
    this.#joinView.show();
    this.#media.open();
  }

  #enter({ name, room, relay }) {
    remember('name', name);
    history.replaceState(null, '', `/r/${encodeURIComponent(room)}${location.search}`);
    this.#call = new Call({
      signalling: this.#signalling, media: this.#media, room, name: name || 'Guest', relay: this.#relayChoice(relay),
    });
    this.#call.on('stopped', (why) => this.#leave(why));
    this.#joinView.hide();
    this.#callView.show(this.#call, { room });
    this.#call.start();
  }

  /** The link may ask for a relay over one transport (?relay=tcp); the switch keeps to it. */
  #relayChoice(on) {
    return on ? this.#relay ?? 'any' : null;
  }

  #leave(why) {
    this.#callView.hide();
    this.#call?.leave();
    this.#call = null;
    this.#media.close();
    this.#signalling.close();
    // A fresh page is the simplest way back in: everything of the old call is gone.
    showStop(why, () => location.reload());
  }

  #refusedAtTheDoor(reason) {
    if (!this.#call && (reason === 'unauthorized' || reason === 'forbidden')) {
      this.#joinView.hide();
      this.#leave('refused');
    }
  }

  #watchNetwork() {
    const changed = () => {
      this.#signalling.probe();
      this.#call?.restartAll();
    };
    window.addEventListener('online', changed);
    const { connection } = navigator;
    let kind = connection?.type;
    connection?.addEventListener?.('change', () => {
      // Browsers report each new estimate of the speed here; only another kind of network is news.
      if (connection.type === kind) return;
      kind = connection.type;
      changed();
    });
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') this.#signalling.probe(); // after sleep, the socket may be dead
    });
    window.addEventListener('pagehide', () => {
      this.#call?.leave();
      this.#signalling.close();
    });
  }
}

if (typeof RTCPeerConnection === 'undefined' || !('replaceTrack' in RTCRtpSender.prototype)) showStop('no-webrtc');
else new Page().start();

