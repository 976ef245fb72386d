// Text in the mdoc(7) language: whatever stands in a description reaches the reader as it is.

/** Running text as one input line. A line must not begin with a control character; "\" and a lone "-" have meanings. */
export function text(words) {
  return words
    .replaceAll(/\s+/g, ' ')
    .trim()
    .replaceAll('\\', String.raw`\e`)
    .replaceAll('-', String.raw`\-`)
    .replace(/^([.'])/, String.raw`\&$1`)
    .replaceAll(/([.!?]) (?=[A-Z"])/g, '$1\n');
}

/** An argument of a macro: quoted, and never taken for a macro itself. */
export function word(value) {
  const escaped = value
    .replaceAll('\\', String.raw`\e`)
    .replaceAll('-', String.raw`\-`)
    .replaceAll('"', String.raw`\(dq`);
  return /^(?:[A-Z%][A-Za-z][a-z]?|[.,:;()[\]?!|'].*)$/.test(escaped) || escaped === ''
    ? String.raw`"\&${escaped}"`
    : `"${escaped}"`;
}

export function heading(title) {
  return `.Sh ${title}`;
}

/** `.Bl -tag` of items, each a macro line for the tag and lines below it. */
export function tagList(items, width = 'Ds') {
  return [`.Bl -tag -width ${width}`, ...items.flatMap(([tag, ...lines]) => [`.It ${tag}`, ...lines]), '.El'];
}

/** Lines kept as they are, in a fixed-width font. */
export function display(lines) {
  const kept = lines.map((line) =>
    line
      .replaceAll('\\', String.raw`\e`)
      .replaceAll('-', String.raw`\-`)
      .replace(/^([.'])/, String.raw`\&$1`),
  );
  return ['.Bd -literal -offset indent', ...kept, '.Ed'];
}
