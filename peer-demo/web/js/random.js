// Names and numbers that nobody should be able to foresee, from the browser's own source.

const QUALITIES = ['amber', 'autumn', 'blue', 'calm', 'clear', 'coral', 'early', 'gentle', 'golden', 'green', 'hidden',
  'high', 'ivory', 'kind', 'lively', 'lunar', 'mellow', 'misty', 'northern', 'olive', 'open', 'patient', 'quiet',
  'rapid', 'silver', 'snowy', 'solar', 'steady', 'sunny', 'swift', 'warm', 'wild'];
const THINGS = ['alder', 'arch', 'badger', 'bay', 'birch', 'brook', 'canyon', 'cedar', 'comet', 'crane', 'dune', 'falcon',
  'fern', 'fjord', 'garden', 'harbour', 'heron', 'island', 'lagoon', 'lantern', 'meadow', 'otter', 'pine', 'plover',
  'ridge', 'river', 'robin', 'sparrow', 'summit', 'swallow', 'valley', 'willow'];

function pick(list) {
  return list[crypto.getRandomValues(new Uint32Array(1))[0] % list.length];
}

/** Easy to say on the telephone, hard to guess: 32 × 32 words and four of 31 signs, about a thousand million rooms. */
export function roomName() {
  const signs = '23456789abcdefghjkmnpqrstuvwxyz';
  const tail = Array.from({ length: 4 }, () => pick([...signs])).join('');
  return `${pick(QUALITIES)}-${pick(THINGS)}-${tail}`;
}
