/** "Valid Names" of the D-Bus specification. The bus cuts the connection of whoever sends another. */

const nameBytesMax = 255;
const element = '[A-Za-z_][A-Za-z0-9_]*';
const busElement = '[A-Za-z_-][A-Za-z0-9_-]*';
const interfacePattern = new RegExp(`^${element}(?:\\.${element})+$`);
const memberPattern = new RegExp(`^${element}$`);
const busNamePattern = new RegExp(`^(?::[A-Za-z0-9_-]+(?:\\.[A-Za-z0-9_-]+)+|${busElement}(?:\\.${busElement})+)$`);

export function isObjectPath(text: string): boolean {
  return /^\/(?:[A-Za-z0-9_]+(?:\/[A-Za-z0-9_]+)*)?$/.test(text);
}

/** Also the rule for error names. */
export function isInterfaceName(text: string): boolean {
  return text.length <= nameBytesMax && interfacePattern.test(text);
}

export function isMemberName(text: string): boolean {
  return text.length <= nameBytesMax && memberPattern.test(text);
}

export function isBusName(text: string): boolean {
  return text.length <= nameBytesMax && busNamePattern.test(text);
}
