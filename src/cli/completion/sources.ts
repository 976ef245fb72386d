/** Where the words come from that may stand for an argument, an option's value or a part of a path. */

/**
 * What the node is asked for when the key is pressed, each in a few milliseconds and without starting the service;
 * `paths` are those of the resource table, `files` are the shell's own business.
 */
const named = {
  port: 'ports',
  bridge: 'bridges',
  netdev: 'devices',
  vmid: 'vmids',
  file: 'files',
  path: 'paths',
} as const;

export type Source =
  { readonly kind: (typeof named)[keyof typeof named] } | { readonly kind: 'words'; readonly words: readonly string[] };

/** By the name that a usage shows: `bridge-or-netdev` is either. None for a name that says nothing. */
export function sourcesOf(name: string, choices: readonly string[] = []): Source[] {
  if (choices.length > 0) return [{ kind: 'words', words: choices }];
  return name
    .split('-or-')
    .flatMap((part) => (Object.hasOwn(named, part) ? [{ kind: named[part as keyof typeof named] }] : []));
}
