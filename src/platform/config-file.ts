/** Reads `config.toml`. Errors name the file, the line and the column. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { parse, TomlError } from 'smol-toml';
import { ConfigError, parseConfig } from '../model/config.ts';
import type { ConfigResult } from '../model/config.ts';
import { AgentError } from '../model/errors.ts';
import { tomlPositions } from './toml-positions.ts';

const defaultConfigPath = '/etc/ovs-port-agent/config.toml';

/** A missing file means defaults only when nobody asked for it by name (`path` null). */
export async function readConfigFile(path: string | null): Promise<ConfigResult> {
  const file = path ?? defaultConfigPath;
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (path === null && (error as NodeJS.ErrnoException).code === 'ENOENT') return parseConfig({}, existsSync);
    throw new AgentError('InvalidArgument', `cannot read the configuration ${file}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return parseConfigText(text, file, existsSync);
}

/** Throws `InvalidArgument`: one line for each thing wrong, as `file:line:column: key: message`. */
export function parseConfigText(text: string, file: string, isProxmoxNode?: (pveDir: string) => boolean): ConfigResult {
  try {
    return parseConfig(parse(text), isProxmoxNode);
  } catch (error) {
    if (error instanceof TomlError) {
      const [reason = ''] = error.message.split('\n');
      throw new AgentError('InvalidArgument', `${file}:${error.line}:${error.column}: ${reason}`, { cause: error });
    }
    if (error instanceof ConfigError) {
      const positions = tomlPositions(text);
      const lines = error.issues.map(({ key, message }) => `${file}${placeOf(key, positions)}: ${key}: ${message}`);
      throw new AgentError('InvalidArgument', lines.join('\n'), { cause: error });
    }
    throw error;
  }
}

/** `:line:column` of the key, or of the table that lacks it. */
function placeOf(key: string, positions: ReturnType<typeof tomlPositions>): string {
  for (let path = key.split('.'); path.length > 0; path = path.slice(0, -1)) {
    const position = positions.get(path.join('.'));
    if (position !== undefined) return `:${position.line}:${position.column}`;
  }
  return '';
}
