/**
 * `setup` from its first word to its last: says every step, asks, says each again and does it, and writes down what `--undo`
 * needs. A step is in the journal before it is begun, so that a crash leaves nothing that could not be taken back.
 */
import { AgentError, toAgentError } from '../../model/errors.ts';
import type { ChangeDraft, Recorded } from '../contracts.ts';
import { showChange } from './change.ts';
import type { Performer } from './performer.ts';
import { describeStep, describeUndo } from './step.ts';
import type { Step } from './step.ts';

/** What was begun, the newest last. Bytes survive power loss once `write` resolves. */
export interface SetupJournal {
  read(): Promise<readonly Step[]>;
  write(steps: readonly Step[]): Promise<void>;
}

export interface Dialogue {
  say(line: string): void;
  /** Whether to go on. */
  confirm(question: string): Promise<boolean>;
}

export interface SetupOptions {
  readonly performer: Performer;
  readonly journal: SetupJournal;
  readonly dialogue: Dialogue;
  readonly recorded: Recorded;
}

/** Throws `Conflict` when nobody wanted it, or the first step's own error; what was done before stays, and is in the journal. */
export async function setUp(options: SetupOptions, steps: readonly Step[], isDryRun: boolean): Promise<void> {
  const { performer, journal, dialogue } = options;
  if (steps.length === 0) {
    dialogue.say('nothing to do');
    return;
  }
  dialogue.say('This will be done:');
  for (const step of steps) {
    dialogue.say(`  - ${describeStep(step)}`);
    const change = await performer.preview(step);
    if (change !== null) for (const line of showChange(...change)) dialogue.say(`      ${line}`);
  }
  if (isDryRun) return;
  await ask(dialogue);
  const done = [...(await journal.read())];
  for (const planned of steps) {
    const step = await performer.prepare(planned);
    dialogue.say(describeStep(step));
    done.push(step);
    await journal.write(done);
    try {
      await options.recorded(draftOf('setup', describeStep(step)), () => performer.perform(step));
    } catch (error) {
      throw stepError(describeStep(step), error);
    }
  }
  dialogue.say('done; `ovs-port-agent setup --undo` takes it back, `ovs-port-agent doctor` says how it is');
}

/** Takes back what is in the journal, the newest first. What cannot be is said, and the rest goes on. */
export async function undoSetup(options: SetupOptions, isDryRun: boolean): Promise<void> {
  const { performer, journal, dialogue } = options;
  const left = [...(await journal.read())];
  if (left.length === 0) {
    dialogue.say('nothing to take back');
    return;
  }
  dialogue.say('This will be done:');
  for (const step of [...left].reverse()) dialogue.say(`  - ${describeUndo(step)}`);
  if (isDryRun) return;
  await ask(dialogue);
  const failed: Step[] = [];
  let failure: AgentError | null = null;
  for (let step = left.pop(); step !== undefined; step = left.pop()) {
    dialogue.say(describeUndo(step));
    try {
      const begun = step;
      const why = await options.recorded(draftOf('setup-undo', describeUndo(step)), () => performer.undo(begun));
      if (why !== null) dialogue.say(`  left as it is: ${why}`);
    } catch (error) {
      failure ??= toAgentError(error);
      dialogue.say(`  failed: ${toAgentError(error).message}`);
      failed.unshift(step);
    }
    await journal.write([...left, ...failed]);
  }
  if (failure !== null) {
    throw new AgentError(
      failure.code,
      `${failed.length} of the steps could not be taken back; run \`ovs-port-agent setup --undo\` again when that is mended`,
      { cause: failure },
    );
  }
}

async function ask(dialogue: Dialogue): Promise<void> {
  if (!(await dialogue.confirm('Do all this?'))) throw new AgentError('Conflict', 'nothing was done');
}

function draftOf(action: string, step: string): ChangeDraft {
  return { category: 'settings', action, data: { step } };
}

function stepError(what: string, thrown: unknown): AgentError {
  const error = toAgentError(thrown);
  return new AgentError(
    error.code,
    `could not ${what}: ${error.message}. What was done before stays; \`ovs-port-agent setup --undo\` takes it back`,
    { cause: error },
  );
}
