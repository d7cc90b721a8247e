// Everything that can go wrong, in plain words: what happened, and what to do. The one place for these texts.

/** Whole-page troubles: `title`, `text`, and the label of the button that tries again, if trying again can help. */
export const STOPS = {
  'no-webrtc': {
    title: 'This browser cannot make calls',
    text: 'It has no WebRTC, or WebRTC is switched off. Open this link in a current Chrome, Firefox, Safari or Edge, or ask '
      + 'whoever looks after this computer to allow WebRTC.',
  },
  'room-full': {
    title: 'This room is full',
    text: 'Four people are in it already, and that is as many as a call holds. Try again when somebody has left, or start '
      + 'a room of your own and send its link to the others.',
    retry: 'Try again',
  },
  refused: {
    title: 'The server does not let you in',
    text: 'It wants a permission that this page does not have. Ask whoever sent you the link for a new one.',
    retry: 'Try again',
  },
  rejected: {
    title: 'The server does not accept this room or name',
    text: 'It may be too long or hold characters that the server does not take. Choose another one and join again.',
    retry: 'Change it',
  },
  kicked: {
    title: 'You were taken out of this call',
    text: 'Somebody with the right to do so has closed the room to you. Ask whoever invited you.',
    retry: 'Join again',
  },
  'taken-over': {
    title: 'This call goes on elsewhere',
    text: 'Another page or program has taken this connection to the server over. To come back in, join again here.',
    retry: 'Join again',
  },
  left: {
    title: 'You have left the call',
    text: 'Your camera and microphone are off. The others can go on without you.',
    retry: 'Join again',
  },
};

/** Next to the preview of yourself: problems of the camera and the microphone. */
const WITHOUT = 'You can join without: you will see and hear the others.';

export function mediaTrouble(media) {
  if (!media.supported) {
    return window.isSecureContext
      ? { title: 'This browser gives pages no camera', text: `Open the link in a current browser. ${WITHOUT}` }
      : {
        title: 'No camera or microphone over plain HTTP',
        text: 'Browsers give them only to pages that came over https, or from localhost. Open this page at its https '
          + `address. ${WITHOUT}`,
      };
  }
  const { audio, video } = media.problems;
  if (!audio && !video) return null;
  return audio === video ? bothTrouble(audio) : oneTrouble(audio, video);
}

function bothTrouble(cause) {
  return {
    denied: {
      title: 'Camera and microphone are blocked',
      text: `Select the camera sign in the address bar, allow both for this page, and try again. ${WITHOUT}`,
    },
    missing: {
      title: 'No camera and no microphone found',
      text: `Plug one in and try again. ${WITHOUT}`,
    },
    busy: {
      title: 'Camera and microphone do not start',
      text: `Another program may be using them. Close it and try again. ${WITHOUT}`,
    },
  }[cause];
}

function oneTrouble(audio, video) {
  const things = { audio: ['microphone', 'Nobody will hear you.'], video: ['camera', 'Nobody will see you.'] };
  const sentences = Object.entries({ audio, video }).filter(([, cause]) => cause).map(([kind, cause]) => {
    const [thing, effect] = things[kind];
    return {
      denied: `The ${thing} is blocked: allow it by the sign in the address bar. ${effect}`,
      missing: `No ${thing} was found: plug one in. ${effect}`,
      busy: `The ${thing} does not start: close the other program that uses it. ${effect}`,
    }[cause];
  });
  return { title: video && !audio ? 'Joining without a camera' : 'Joining without a microphone', text: sentences.join(' ') };
}

/** Short remarks in the call. */
export const REMARKS = {
  'camera-lost': 'The camera is gone: was it unplugged? The others see your initials.',
  'microphone-lost': 'The microphone is gone: was it unplugged? The others cannot hear you.',
  'screen-failed': 'The screen could not be shared. The system may not allow this browser to record it.',
  'rate-limited': 'The server asks us to slow down. We will be through in a moment.',
  'chat-undelivered': 'Not delivered: the connection to the others is not up. Send it again in a moment.',
};

/** Which way the page and the server talk. */
export const TRANSPORTS = {
  websocket: 'WebSocket',
  sse: 'Server-Sent Events, as WebSocket does not get through here',
  longpoll: 'long polling, as nothing better gets through here',
  poll: 'polling every second, as nothing better gets through here',
};
