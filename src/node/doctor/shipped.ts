/** Files of the package that others may lose or replace, with the copy inside the package that they can be made of again. */
export interface Shipped {
  readonly path: string;
  readonly source: string;
  /** A file in this place counts instead; null where nothing can. */
  readonly override: string | null;
}

const dropIn = '50-ovs-port-agent.conf';
const unitDropIn = (unit: string): Shipped => ({
  path: `/usr/lib/systemd/system/${unit}.d/${dropIn}`,
  source: '/usr/lib/ovs-port-agent/pve-container.conf',
  override: `/etc/systemd/system/${unit}.d/${dropIn}`,
});

export const shippedFiles: readonly Shipped[] = [
  unitDropIn('pve-container@.service'),
  unitDropIn('pve-container-debug@.service'),
  {
    path: `/usr/share/lxc/config/common.conf.d/${dropIn}`,
    source: '/usr/lib/ovs-port-agent/lxc-start-host.conf',
    override: null,
  },
];

/** What the older tool of this name installed by hand. */
export const olderPaths: readonly string[] = [
  '/usr/local/bin/ovs-port-agent',
  '/usr/local/sbin/ovs-port-agent',
  '/etc/systemd/system/ovs-port-agent.service',
  '/etc/systemd/system/ovsdb-dbus-wrapper.service',
  '/etc/systemd/system/ovsdb-fuse-mount.service',
  '/etc/op-dbus/state.json',
];
