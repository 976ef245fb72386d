/** What the tests of the documents read in a Markdown text. */

export interface CodeBlock {
  /** First word after the fence: `sh`, `console`, `text`. */
  readonly language: string;
  readonly lines: readonly string[];
  /** 1-based line of the fence. */
  readonly line: number;
}

/** A command of a document, with the output shown for it; null where the document shows none. */
export interface ShownCommand {
  readonly command: string;
  readonly output: readonly string[] | null;
  readonly line: number;
}

export function codeBlocks(text: string): CodeBlock[] {
  const blocks: CodeBlock[] = [];
  let open: { language: string; lines: string[]; line: number } | null = null;
  for (const [index, line] of text.split('\n').entries()) {
    const fence = /^```(\S*)\s*$/.exec(line);
    if (fence === null) open?.lines.push(line);
    else if (open === null) open = { language: fence[1] ?? '', lines: [], line: index + 1 };
    else {
      blocks.push(open);
      open = null;
    }
  }
  if (open !== null) throw new Error(`the fence of line ${open.line} is not closed`);
  return blocks;
}

/** Commands of `sh` blocks, a line each, and of `console` blocks, where `$ ` begins one and its output follows. */
export function shownCommands(text: string): ShownCommand[] {
  return codeBlocks(text).flatMap(({ language, lines, line }): ShownCommand[] => {
    if (language === 'sh') {
      return lines.flatMap((command, index) =>
        command.trim() === '' ? [] : [{ command, output: null, line: line + index + 1 }],
      );
    }
    if (language !== 'console') return [];
    const commands: { command: string; output: string[]; line: number }[] = [];
    for (const [index, shown] of lines.entries()) {
      if (shown.startsWith('$ ')) commands.push({ command: shown.slice(2), output: [], line: line + index + 1 });
      else if (commands.length === 0) throw new Error(`line ${line + index + 1}: output without a command`);
      else commands.at(-1)?.output.push(shown);
    }
    return commands;
  });
}

/** Everything outside code blocks. */
function prose(text: string): string {
  let isCode = false;
  return text
    .split('\n')
    .filter((line) => {
      if (!line.startsWith('```')) return !isCode;
      isCode = !isCode;
      return false;
    })
    .join('\n');
}

/** Texts in backquotes outside code blocks. */
export function inlineCode(text: string): string[] {
  return [...prose(text).matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? '');
}

/** Targets of links: `docs/api.md#errors`, `#here`, `https://...`. */
export function linkTargets(text: string): string[] {
  return [...prose(text).matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? '');
}

/** The anchors that GitHub gives the headings. */
export function anchors(text: string): Set<string> {
  const headings = [...prose(text).matchAll(/^#{1,6} (.+)$/gm)].map((match) => match[1] ?? '');
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

/** Rows of the first table under a heading, cells trimmed, without head and rule. */
export function tableUnder(text: string, heading: string): string[][] {
  const lines = text.split('\n');
  const start = lines.findIndex((line) => /^#{1,6} /.test(line) && line.replace(/^#+ /, '') === heading);
  if (start < 0) throw new Error(`no heading "${heading}"`);
  const first = lines.findIndex((line, index) => index > start && line.startsWith('|'));
  const rows: string[][] = [];
  for (const line of lines.slice(first)) {
    if (!line.startsWith('|')) break;
    rows.push(
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  }
  return rows.slice(2);
}
