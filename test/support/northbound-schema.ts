/** OVN's own northbound schema, as Debian's package `ovn-central` has it. */
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const cached = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'ovs-port-agent', 'ovn-nb.ovsschema');

/** Of an installed package, or the one that `scripts/test.sh switch` fetched. Throws when there is neither. */
export function northboundSchema(): { tables: Record<string, object> } & object {
  const path = ['/usr/share/ovn/ovn-nb.ovsschema', cached].find((each) => existsSync(each));
  if (path === undefined) throw new Error(`there is no ${cached}: run scripts/test.sh switch once, which fetches it`);
  return JSON.parse(readFileSync(path, 'utf8')) as { tables: Record<string, object> };
}
