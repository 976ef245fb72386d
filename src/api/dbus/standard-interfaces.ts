/** The D-Bus specification's own interfaces ("Standard Interfaces"), declared like ours. */
import type { InterfaceSpec } from './interface-spec.ts';

export const peerInterface = {
  name: 'org.freedesktop.DBus.Peer',
  methods: {
    Ping: { in: [], out: [], privilege: 'public', doc: 'Answers.' },
    GetMachineId: {
      in: [],
      out: [{ name: 'machine_uuid', type: 's' }],
      privilege: 'public',
      doc: 'The machine id of the host, 32 hexadecimal digits.',
    },
  },
  properties: {},
  signals: {},
} as const satisfies InterfaceSpec;

export const introspectableInterface = {
  name: 'org.freedesktop.DBus.Introspectable',
  methods: {
    Introspect: {
      in: [],
      out: [{ name: 'xml_data', type: 's' }],
      privilege: 'public',
      doc: 'This description.',
    },
  },
  properties: {},
  signals: {},
} as const satisfies InterfaceSpec;

export const propertiesInterface = {
  name: 'org.freedesktop.DBus.Properties',
  methods: {
    Get: {
      in: [
        { name: 'interface_name', type: 's' },
        { name: 'property_name', type: 's' },
      ],
      out: [{ name: 'value', type: 'v' }],
      privilege: 'read',
      doc: 'One property.',
    },
    GetAll: {
      in: [{ name: 'interface_name', type: 's' }],
      out: [{ name: 'properties', type: 'a{sv}' }],
      privilege: 'read',
      doc: 'Every property of an interface, at one moment.',
    },
    Set: {
      in: [
        { name: 'interface_name', type: 's' },
        { name: 'property_name', type: 's' },
        { name: 'value', type: 'v' },
      ],
      out: [],
      privilege: 'read',
      doc: 'Always an error: the properties are read-only.',
    },
  },
  properties: {},
  signals: {
    PropertiesChanged: {
      args: [
        { name: 'interface_name', type: 's' },
        { name: 'changed_properties', type: 'a{sv}' },
        { name: 'invalidated_properties', type: 'as' },
      ],
      doc: 'New values of properties.',
    },
  },
} as const satisfies InterfaceSpec;
