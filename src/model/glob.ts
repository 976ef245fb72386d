/** Names with `*` (any characters, also none) and `?` (one character), as a shell matches them; case matters. */

/**
 * Whether the whole text matches. Goes back to the last `*` only, which is enough: an earlier one could not take more
 * than the last one does. So the time is bounded by the product of both lengths, whatever the pattern.
 */
export function globMatches(pattern: string, text: string): boolean {
  let at = 0;
  let from = 0;
  let star = -1;
  let starFrom = 0;
  while (from < text.length) {
    // The star first: it is no ordinary character, even when the text has one there.
    if (pattern[at] === '*') {
      star = at++;
      starFrom = from;
    } else if (at < pattern.length && (pattern[at] === '?' || pattern[at] === text[from])) {
      at++;
      from++;
    } else if (star >= 0) {
      at = star + 1;
      from = ++starFrom;
    } else {
      return false;
    }
  }
  while (pattern[at] === '*') at++;
  return at === pattern.length;
}
