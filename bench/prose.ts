/** How uneven the words' frequencies are; so is natural text. */
const UNEVENNESS = 3;
const WORDS = 2500;
const SYLLABLES = 'ba ce di fo gu ha je ki lo mu na pe ri so tu va we xi yo zu ar en il on us'.split(' ');

const vocabulary = makeVocabulary(createRandom(1));

/**
 * Text that compresses as a chart's README does (to a third), always the same for a seed.
 *
 * @param bytes - how long it is
 */
export function writeProse(seed: number, bytes: number): Buffer {
  const random = createRandom(seed);
  let text = '';
  for (let words = 0; text.length < bytes; words++) {
    text += vocabulary[Math.floor(random() ** UNEVENNESS * WORDS)];
    text += words % 14 === 13 ? '\n' : ' ';
  }
  return Buffer.from(text.slice(0, bytes), 'latin1');
}

function makeVocabulary(random: () => number): string[] {
  const syllable = () => SYLLABLES[Math.floor(random() * SYLLABLES.length)];
  return Array.from({ length: WORDS }, () => Array.from({ length: 1 + Math.floor(random() * 4) }, syllable).join(''));
}

/** Mulberry32, as Math.random takes no seed. */
export function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
