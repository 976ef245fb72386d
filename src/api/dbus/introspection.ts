/** Introspection XML ("Introspection Data Format" of the D-Bus specification) from declarations. */
import type { ArgSpec, InterfaceSpec } from './interface-spec.ts';

const doctype =
  '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"\n' +
  ' "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">\n';

/** One object's interfaces and the names of its child nodes. Every argument has a name and a type. */
export function renderIntrospection(interfaces: readonly InterfaceSpec[], children: readonly string[]): string {
  const lines = [
    ...interfaces.flatMap(renderInterface),
    ...children.map((child) => `  <node name="${escapeXml(child)}"/>`),
  ];
  return `${doctype}<node>\n${lines.map((line) => `${line}\n`).join('')}</node>\n`;
}

/** The direct child node names under `parent` on the way to `paths`, sorted. */
export function childNodes(parent: string, paths: Iterable<string>): string[] {
  const prefix = parent === '/' ? '/' : `${parent}/`;
  const names = new Set<string>();
  for (const path of paths) {
    if (path !== parent && path.startsWith(prefix)) names.add(path.slice(prefix.length).replace(/\/.*$/, ''));
  }
  return [...names].sort();
}

function renderInterface(spec: InterfaceSpec): string[] {
  return [
    `  <interface name="${escapeXml(spec.name)}">`,
    ...Object.entries(spec.methods).flatMap(([name, method]) => [
      `    <method name="${escapeXml(name)}">`,
      docString(method.doc),
      ...method.in.map((arg) => renderArg(arg, ' direction="in"')),
      ...method.out.map((arg) => renderArg(arg, ' direction="out"')),
      '    </method>',
    ]),
    ...Object.entries(spec.properties).flatMap(([name, property]) => [
      `    <property name="${escapeXml(name)}" type="${property.type}" access="read">`,
      docString(property.doc),
      `      <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="${property.emits}"/>`,
      '    </property>',
    ]),
    ...Object.entries(spec.signals).flatMap(([name, signal]) => [
      `    <signal name="${escapeXml(name)}">`,
      docString(signal.doc),
      ...signal.args.map((arg) => renderArg(arg, '')),
      '    </signal>',
    ]),
    '  </interface>',
  ];
}

function renderArg(arg: ArgSpec, direction: string): string {
  return `      <arg name="${escapeXml(arg.name)}" type="${arg.type}"${direction}/>`;
}

/** The annotation that `gdbus` and `gdbus-codegen` know for documentation. */
function docString(doc: string): string {
  return `      <annotation name="org.gtk.GDBus.DocString" value="${escapeXml(doc)}"/>`;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
