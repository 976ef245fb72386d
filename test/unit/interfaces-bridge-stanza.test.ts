import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  addBridge,
  addCondone,
  agentPortsIn,
  condoneOfPorts,
  condonesAgentPorts,
  readBridgeStanzas,
  removeBridge,
  removeCondone,
  uncondoned,
} from '../../src/interfaces/bridge-stanza.ts';
import { interfacesText } from '../support/interfaces-text.ts';

const text = `auto lo
iface lo inet loopback

auto ovsbr0
iface ovsbr0 inet static
\taddress 192.0.2.1/24
\tovs_type OVSBridge
\tovs_ports enp1s0 \\
\t\tbond0
#the uplink

iface vmbr1 inet manual
\tbridge-ports none
`;

describe('the stanza of a bridge', () => {
  it('is known by its type, with its ports', () => {
    assert.deepEqual(readBridgeStanzas(text), [{ name: 'ovsbr0', line: 5, ports: ['enp1s0', 'bond0'], condone: null }]);
  });

  it('gets one line after its options, and every other byte stays', () => {
    const changed = addCondone(text, 'ovsbr0');
    assert.equal(
      changed,
      text.replace('\t\tbond0\n', '\t\tbond0\n\t\tovs-ports-condone-regex ^(tap|veth|fwln|vi[0-9_])\n'),
    );
    assert.equal(addCondone(changed, 'ovsbr0'), changed, 'twice is once');
    assert.equal(removeCondone(changed, 'ovsbr0', null), text);
  });

  it('of another kind, or that is not there, is left alone', () => {
    for (const name of ['vmbr1', 'lo', 'ovsbr9', '']) assert.equal(addCondone(text, name), text);
  });

  it('keeps what it condones already', () => {
    const own = 'iface b inet manual\n  ovs_type OVSBridge\n  ovs-ports-condone-regex ^wg\n  mtu 9000\n';
    const changed = addCondone(own, 'b');
    assert.equal(changed, own.replace('^wg', `^wg|${condoneOfPorts}`));
    assert.equal(removeCondone(changed, 'b', '^wg'), own);
    const enough = own.replace('^wg', '^(.*)');
    assert.equal(addCondone(enough, 'b'), enough);
    assert.equal(removeCondone(enough, 'b', null), enough, 'a line that somebody else wrote is not taken out');
  });

  it('gets the line where the file ends without a newline, and in its own line ends', () => {
    assert.equal(
      addCondone('iface b inet manual\n ovs_type OVSBridge', 'b'),
      `iface b inet manual\n ovs_type OVSBridge\n ovs-ports-condone-regex ${condoneOfPorts}\n`,
    );
    assert.match(addCondone('iface b inet manual\r\n\tovs_type OVSBridge\r\n', 'b'), /vi\[0-9_\]\)\r\n$/);
    const broken = 'iface b inet manual\n\tovs_type OVSBridge\n\tmtu \\';
    assert.equal(addCondone(broken, 'b'), broken);
  });

  it('lets an ifreload delete what is neither listed nor condoned, and nothing without ovs_ports', () => {
    const [stanza] = readBridgeStanzas(text);
    assert.ok(stanza !== undefined);
    const ports = ['enp1s0', 'veth100i0', 'vi_dummy0', 'own0'];
    assert.deepEqual(uncondoned(stanza, ports), ['vi_dummy0', 'own0']);
    assert.deepEqual(uncondoned({ ...stanza, condone: condoneOfPorts }, ports), ['own0']);
    assert.deepEqual(uncondoned({ ...stanza, condone: '(' }, ports), ['veth100i0', 'vi_dummy0', 'own0']);
    assert.deepEqual(uncondoned({ ...stanza, ports: null }, ports), []);
  });

  it('condones our ports by what we write, and not by the default', () => {
    assert.deepEqual([condoneOfPorts, '^(tap|veth|fwln)', '', '('].map(condonesAgentPorts), [true, false, true, false]);
  });

  it('is made once, and taken out without a trace', () => {
    for (const before of ['', text, 'auto lo', 'auto lo\n\n']) {
      const made = addBridge(before, 'ovsbr1');
      assert.deepEqual(readBridgeStanzas(made).at(-1)?.condone, condoneOfPorts);
      assert.equal(addBridge(made, 'ovsbr1'), made);
      assert.equal(removeBridge(made, 'ovsbr1').trimEnd(), before.trimEnd());
      assert.equal(removeBridge(`${made}\tmtu 9000\n`, 'ovsbr1').includes('mtu 9000'), true);
    }
    assert.equal(removeBridge(addBridge(text, 'ovsbr1'), 'ovsbr1'), text);
    assert.equal(addBridge(text, 'vmbr1'), text, 'a name that is taken');
  });

  it('is parted from what stands before it by one empty line', () => {
    const stanza = addBridge('', 'ovsbr1');
    assert.match(stanza, /^auto ovsbr1\niface ovsbr1 inet manual\n/);
    for (const before of ['auto lo', 'auto lo\n', 'auto lo\n\n']) {
      assert.equal(addBridge(before, 'ovsbr1'), `auto lo\n\n${stanza}`);
    }
  });

  it('is not made where its name is brought up already, by whatever line', () => {
    for (const line of ['auto lo ovsbr1\n', 'allow-hotplug ovsbr1\n', 'iface ovsbr1 inet6 auto\n']) {
      assert.equal(addBridge(line, 'ovsbr1'), line);
    }
    assert.notEqual(addBridge('source ovsbr1\n# auto ovsbr1\n', 'ovsbr1'), 'source ovsbr1\n# auto ovsbr1\n');
  });

  it('is not taken out of a comment, nor when there is none', () => {
    const stanza = addBridge('', 'ovsbr1');
    for (const other of ['', text, `#${stanza}`]) assert.equal(removeBridge(other, 'ovsbr1'), other);
    assert.equal(removeBridge(stanza, 'ovsbr1'), '');
    assert.equal(removeBridge(`auto lo\n${stanza}`, 'ovsbr1'), 'auto lo\n');
  });

  it('keeps a line that is not what we wrote, and what has none', () => {
    const ours = addCondone(text, 'ovsbr0');
    for (const other of [text, ours.replace('vi[0-9_]', 'vi')])
      assert.equal(removeCondone(other, 'ovsbr0', null), other);
    assert.equal(removeCondone(ours, 'ovsbr0', '^wg'), ours);
    assert.equal(removeCondone(ours, 'vmbr1', null), ours);
  });

  it('gets the line also after an option with a backslash, and indented by a tab where nothing is', () => {
    const line = `ovs-ports-condone-regex ${condoneOfPorts}\n`;
    const escaped = 'iface b inet manual\n  ovs_type OVSBridge\n  up printf a\\n\n';
    assert.equal(addCondone(escaped, 'b'), `${escaped}  ${line}`);
    const flat = 'iface b inet manual\novs_type OVSBridge\n';
    assert.equal(addCondone(flat, 'b'), `${flat}\t${line}`);
  });

  it('breaks edits in the GUI by names of ours in its ovs_ports', () => {
    const [stanza] = readBridgeStanzas(text.replace('bond0', 'vi100 bond0 vi_web'));
    assert.ok(stanza !== undefined);
    assert.deepEqual(agentPortsIn(stanza), ['vi100', 'vi_web']);
    assert.deepEqual(agentPortsIn({ ...stanza, ports: null }), []);
  });

  it('costs no other line, whatever stands around it', () => {
    const bridge = 'iface ovsbr0 inet manual\n\tovs_type OVSBridge\n';
    const line = `\tovs-ports-condone-regex ${condoneOfPorts}\n`;
    fc.assert(
      fc.property(interfacesText(), interfacesText(), (before, after) => {
        const whole = `${before}\n${bridge}${after}`;
        const changed = addCondone(whole, 'ovsbr0');
        // A continued line before it hides the stanza.
        if (changed === whole) return;
        assert.equal(changed.replace(line.trim(), '').replace(/[ \t]*\r?\n?/g, ''), whole.replace(/[ \t]*\r?\n?/g, ''));
        assert.equal(removeCondone(changed, 'ovsbr0', null).trimEnd(), whole.trimEnd());
        assert.equal(addCondone(changed, 'ovsbr0'), changed);
      }),
    );
  });
});
