/** Shell text in a template, with nothing interpolated: `@{name}` stands for the shell's own braces, backslashes stay. */
export function shellText(strings: TemplateStringsArray): string {
  return strings.raw.join('').replaceAll('@{', '${');
}
