/**
 * The part of Open vSwitch's schema (ovs-vswitchd.conf.db(5)) that ports live in: the tables and columns that the engine
 * reads and writes, and a few that others write, with their types and constraints.
 */
import type { DatabaseSchema } from './memory-database.ts';

const texts = { key: 'string', value: 'string', min: 0, max: 'unlimited' };
const text = { key: 'string', min: 0, max: 1 };
const vlan = { type: 'integer', minInteger: 0, maxInteger: 4095 };
const named = { type: 'string', mutable: false };
const many = (refTable: string, refType = 'strong'): object => ({
  type: { key: { type: 'uuid', refTable, refType }, min: 0, max: 'unlimited' },
});
const optional = (refTable: string, refType = 'strong'): object => ({
  type: { key: { type: 'uuid', refTable, refType }, min: 0, max: 1 },
});

export const switchSchema = {
  name: 'Open_vSwitch',
  version: '8.5.0',
  tables: {
    Open_vSwitch: {
      columns: {
        bridges: many('Bridge'),
        next_cfg: { type: 'integer' },
        cur_cfg: { type: 'integer' },
        ovs_version: { type: text },
        external_ids: { type: texts },
      },
      isRoot: true,
      maxRows: 1,
    },
    Bridge: {
      columns: {
        name: named,
        ports: many('Port'),
        mirrors: many('Mirror'),
        datapath_type: { type: 'string' },
        other_config: { type: texts },
        external_ids: { type: texts },
      },
      indexes: [['name']],
    },
    Port: {
      columns: {
        name: named,
        interfaces: { type: { key: { type: 'uuid', refTable: 'Interface' }, min: 1, max: 'unlimited' } },
        tag: { type: { key: vlan, min: 0, max: 1 } },
        trunks: { type: { key: vlan, min: 0, max: 4096 } },
        vlan_mode: {
          type: {
            key: {
              type: 'string',
              enum: ['set', ['trunk', 'access', 'native-tagged', 'native-untagged', 'dot1q-tunnel']],
            },
            min: 0,
            max: 1,
          },
        },
        qos: optional('QoS'),
        mac: { type: text },
        bond_active_slave: { type: text },
        bond_downdelay: { type: 'integer' },
        bond_fake_iface: { type: 'boolean' },
        bond_mode: { type: text },
        bond_updelay: { type: 'integer' },
        cvlans: { type: { key: vlan, min: 0, max: 4096 } },
        fake_bridge: { type: 'boolean' },
        lacp: { type: text },
        protected: { type: 'boolean' },
        other_config: { type: texts },
        external_ids: { type: texts },
      },
      indexes: [['name']],
    },
    Interface: {
      columns: {
        name: named,
        type: { type: 'string' },
        ofport: { type: { key: 'integer', min: 0, max: 1 } },
        mtu_request: { type: { key: { type: 'integer', minInteger: 1 }, min: 0, max: 1 } },
        error: { type: text },
        other_config: { type: texts },
        external_ids: { type: texts },
      },
      indexes: [['name']],
    },
    Mirror: {
      columns: {
        name: { type: 'string' },
        select_all: { type: 'boolean' },
        select_src_port: many('Port', 'weak'),
        select_dst_port: many('Port', 'weak'),
        output_port: optional('Port', 'weak'),
        select_vlan: { type: { key: vlan, min: 0, max: 4096 } },
        output_vlan: { type: { key: { type: 'integer', minInteger: 1, maxInteger: 4095 }, min: 0, max: 1 } },
        external_ids: { type: texts },
      },
    },
    QoS: {
      columns: { type: { type: 'string' }, other_config: { type: texts }, external_ids: { type: texts } },
      isRoot: true,
    },
  },
} satisfies DatabaseSchema;
