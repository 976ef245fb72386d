/** Reads `config.toml`. Errors name the file, the line and the column. */
import { readFile } from 'node:fs/promises';
import { parse, TomlError } from 'smol-toml';
import { ConfigError, parseConfig } from '../model/config.ts';
import type { ConfigResult } from '../model/config.ts';
import { AgentError } from '../model/errors.ts';

const defaultConfigPath = '/etc/ovs-port-agent/config.toml';

/** A missing file means defaults only when nobody asked for it by name (`path` null). */
export async function readConfigFile(path: string | null): Promise<ConfigResult> {
  const file = path ?? defaultConfigPath;
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (path === null && (error as NodeJS.ErrnoException).code === 'ENOENT') return parseConfig({});
    throw new AgentError('InvalidArgument', `cannot read the configuration ${file}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return parseConfigText(text, file);
}

/** Throws `InvalidArgument`: one line for each thing wrong, as `file:line:column: key: message`. */
export function parseConfigText(text: string, file: string): ConfigResult {
  try {
    return parseConfig(parse(text));
  } catch (error) {
    if (error instanceof TomlError) {
      const [reason = ''] = error.message.split('\n');
      throw new AgentError('InvalidArgument', `${file}:${error.line}:${error.column}: ${reason}`, { cause: error });
    }
    if (error instanceof ConfigError) {
      const lines = error.issues.map(({ key, message }) => `${file}${positionOf(text, key)}: ${key}: ${message}`);
      throw new AgentError('InvalidArgument', lines.join('\n'), { cause: error });
    }
    throw error;
  }
}

/** `:line:column` of a top-level key; the parser keeps no positions of what it accepted. */
function positionOf(text: string, key: string): string {
  const [top = ''] = key.split('.');
  const escaped = top.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  const match = new RegExp(String.raw`^([ \t]*)(?:\[+[ \t]*)?["']?${escaped}["']?[ \t]*[=\].]`, 'm').exec(text);
  if (match === null) return '';
  const line = text.slice(0, match.index).split('\n').length;
  return `:${line}:${(match[1]?.length ?? 0) + 1}`;
}
