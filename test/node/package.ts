/** The Debian package, built from dist/ and installed into a node as an administrator does. */
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { buildPackage } from '../support/debian-package.ts';
import type { TestNode } from './test-node.ts';

/** Installs, upgrades or downgrades; what dpkg and the package's scripts said. */
export async function installPackage(node: TestNode, version?: string): Promise<string> {
  return node.run('dpkg', '--install', await bringPackage(node, version));
}

/** Builds the package into the node; its path there. */
export async function bringPackage(node: TestNode, version?: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ovs-port-agent-test-'));
  try {
    const built = await buildPackage(folder, version === undefined ? {} : { version });
    const inNode = `/root/${basename(built)}`;
    await copyFile(built, join(node.root, inNode));
    return inNode;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
