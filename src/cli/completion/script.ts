/** Completion scripts: what the engine prints, handed to each shell in its own way. */
import type { ResourceSpec } from '../../resources/table.ts';
import type { CommandDescription } from '../command-tree.ts';
import { completionEngine } from './engine.ts';
import { shellText } from './shell-text.ts';

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

/** The script for one shell, with a last newline. */
export function completionScript(
  shell: Shell,
  program: CommandDescription,
  resources: readonly ResourceSpec[],
): string {
  const engine = completionEngine(program, resources);
  switch (shell) {
    case 'bash':
      return `# bash completion of ovs-port-agent. Made by \`ovs-port-agent completion bash\`.\n\n${engine}\n${bashBinding}`;
    case 'zsh':
      return `#compdef ovs-port-agent\n# Made by \`ovs-port-agent completion zsh\`.\n\n${engine}\n${zshBinding}`;
    case 'fish':
      return `# fish completion of ovs-port-agent. Made by \`ovs-port-agent completion fish\`.\n\n${fishBinding(engine)}`;
  }
}

/** bash breaks words at "=", which is then a word of its own; what it replaces is what stands behind. */
const bashBinding = shellText`_ovs_port_agent() {
    local word line before='' typed=()
    for word in "@{COMP_WORDS[@]:1:COMP_CWORD}"; do
        if [[ @{#typed[@]} -gt 0 && ( $word == = || @{typed[-1]} == --*= ) ]]; then
            typed[-1]+=$word
        else
            typed+=("$word")
        fi
    done
    local current=@{typed[-1]}
    [[ $current != --*=* ]] || before=@{current%%=*}=
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ $line == :files ]]; then
            compopt -o filenames 2>/dev/null
            while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "@{current#"$before"}")
        else
            word=@{line%%$'\t'*}
            [[ $word != "$current"* ]] || COMPREPLY+=("@{word#"$before"}")
        fi
    done < <(__ovs_port_agent "@{typed[@]}")
}

complete -F _ovs_port_agent ovs-port-agent
`;

const zshBinding = shellText`_ovs-port-agent() {
    local line output
    local -a typed entries
    typed=("@{(@)words[2,CURRENT-1]}" "$PREFIX")
    output=$(emulate -R sh; __ovs_port_agent "@{typed[@]}")
    [[ $PREFIX != --*=* ]] || compset -P '*='
    for line in "@{(@f)output}"; do
        case $line in
            '') ;;
            :files) _files ;;
            *) entries+=("@{@{@{line%%$'\t'*}#"$IPREFIX"}//:/\\:}:@{line#*$'\t'}") ;;
        esac
    done
    (( @{#entries} == 0 )) || _describe -o 'ovs-port-agent' entries
}

if [[ @{funcstack[1]} == _ovs-port-agent ]]; then
    _ovs-port-agent "$@"
else
    compdef _ovs-port-agent ovs-port-agent
fi
`;

function fishBinding(engine: string): string {
  const text = `${engine}\n__ovs_port_agent "$@"`.replaceAll('\\', '\\\\').replaceAll("'", String.raw`\'`);
  return String.raw`function __ovs_port_agent_complete
    set -l typed (commandline -opc)
    set -e typed[1]
    set -l current (commandline -ct)
    test (count $current) -gt 0; or set current ''
    set -l found (sh -c $__ovs_port_agent_engine ovs-port-agent $typed "$current")
    for line in $found
        if test "$line" = ':files'
            __fish_complete_path "$current"
        else
            printf '%s\n' $line
        end
    end
end

set -g __ovs_port_agent_engine '${text}'
complete -c ovs-port-agent -f -a '(__ovs_port_agent_complete)'
`;
}
