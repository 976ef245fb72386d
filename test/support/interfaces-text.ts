/** Texts that look like /etc/network/interfaces, for property tests: every construct, in every wrong place. */
import fc from 'fast-check';
import type { ListedPort } from '../../src/interfaces/port-stanza.ts';
import { parseBridgeName, parsePortName, parseVlanTag } from '../../src/model/names.ts';

const foreignLines = [
  '',
  '',
  '  ',
  '\t',
  'auto lo',
  'iface lo inet loopback',
  'iface eth0 inet static',
  'auto eth0 vi100',
  'allow-ovsbr0 vi101',
  'iface ovsbr1 inet manual',
  '\tovs_ports eth1 vi100',
  '\taddress 192.0.2.1/24',
  '\tup echo one \\',
  '\\',
  'iface vi100 inet manual',
  'iface vi101 inet6 manual',
  '#a comment',
  '# a comment \\',
  '# BEGIN other',
  'source /etc/network/interfaces.d/*',
  'mapping eth*',
  'junk',
  'caf\u00c3\u00a0',
  '\u0000\u00ff\r',
];

/** What the agent writes, and what is left of it after others edited. */
const ownLines = [
  '# BEGIN ovs-port-agent',
  '# END ovs-port-agent',
  '#ovs-port-agent: CT 100 net0 (veth100i0) web01',
  '  #ovs-port-agent:',
  'iface vi100 inet manual\n\tovs_bridge ovsbr0\n\tovs_type OVSPort\n#ovs-port-agent: CT 100',
  'iface vi102 inet manual\n\tovs_type OVSPort\n#ovs-port-agent: CT 102\n',
];

function textOf(lines: readonly string[]): fc.Arbitrary<string> {
  return fc
    .tuple(
      fc.array(fc.constantFrom(...lines), { maxLength: 14 }),
      fc.constantFrom('\n', '\n', '\r\n', 'mixed'),
      fc.boolean(),
    )
    .map(([chosen, eol, finished]) => {
      const body = chosen
        .map((line, index) => line + (eol === 'mixed' ? (index % 2 === 0 ? '\n' : '\r\n') : eol))
        .join('');
      return finished ? body : body.replace(/\r?\n$/, '');
    });
}

/** Any mixture of foreign lines, markers, and stanzas of the agent, whole or torn. */
export function interfacesText(): fc.Arbitrary<string> {
  return textOf([...foreignLines, ...ownLines]);
}

/** A text without anything of the agent's. */
export function foreignText(): fc.Arbitrary<string> {
  return textOf(foreignLines);
}

export function listedPorts(): fc.Arbitrary<ListedPort[]> {
  const port = fc.record({
    port: fc.constantFrom('vi100', 'vi101', 'vi102', 'vi100i1', 'vi_web', 'ct_db').map(parsePortName),
    bridge: fc.constantFrom('ovsbr0', 'ovsbr1').map(parseBridgeName),
    tag: fc.option(fc.integer({ min: 1, max: 4094 }).map(parseVlanTag)),
    trunks: fc.array(fc.integer({ min: 1, max: 4094 }).map(parseVlanTag), { maxLength: 3 }),
    vlanMode: fc.option(fc.constantFrom('access', 'native-untagged')),
    owner: fc.string({ unit: 'binary', maxLength: 200 }),
  });
  return fc.uniqueArray(port, { maxLength: 4, selector: ({ port: name }) => name });
}
