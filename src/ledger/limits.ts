/** Every maximum of the ledger, with its unit. */

/** Bytes of a block's line without its newline: what a 16-bit length can say, as C2SP tlog-tiles needs it. */
export const lineBytesMax = 65_535;

/**
 * Bytes of a line around category, action, metadata and data: opening fields with a height of up to 16 digits, the
 * ledger's own `ahead` mark, and the hash. Counted in full for every block, so that whether a draft fits never depends
 * on the height it gets.
 */
export const lineOverheadBytes = 245;

/** Characters of an action. */
export const actionCharsMax = 64;

/** Bytes that share one fdatasync; a single larger line does not exist. */
export const batchBytesMax = 1_048_576;

/** Blocks waiting to be written; above that an append is refused with `Busy`. */
export const pendingBlocksMax = 10_000;

/** Blocks written ahead whose action runs at one moment; above that `Busy`. */
export const aheadRunningMax = 1_000;

/** Outcomes that could not be written and wait for the next append. */
export const owedBlocksMax = 1_000;

/** Characters of an error's message in an outcome block. */
export const outcomeMessageCharsMax = 1_000;

/** Blocks one query returns when it names no limit, and at most. */
export const queryBlocksDefault = 100;
export const queryBlocksMax = 10_000;

/** Blocks of one file of the index: the newest, which are in memory, are no more, and a start reads no more again. */
export const indexRunBlocks = 32_768;

/** Leaves of a tree. The specifications allow 2^64 - 1; this is the largest size that a number holds exactly. */
export const treeSizeMax = Number.MAX_SAFE_INTEGER;

/** Hashes of one proof: no tree is higher, whatever its size (C2SP tlog-witness says the same of a request). */
export const proofHashesMax = 63;

/** Bytes of a signed note, signatures included. */
export const noteBytesMax = 1_000_000;

/** Signatures of a note, known or not. C2SP signed-note asks for at least 16. */
export const noteSignaturesMax = 100;

/** Seconds since 1970 of a cosignature: the end of the year 9999. Later times are refused. */
export const cosignatureSecondsMax = 253_402_300_799;

/** Characters of a key as text: its name, its ID and its base64. */
export const keyCharsMax = 1_000;

/** Of a policy file: its bytes, and its lines of each kind. C2SP tlog-policy asks for at least 32 of each. */
export const policyBytesMax = 262_144;
export const policyLogsMax = 64;
export const policyWitnessesMax = 64;
export const policyGroupsMax = 64;

/** Bytes of a proof file: a checkpoint, a whole line in base64, and the audit path. */
export const proofBytesMax = noteBytesMax + 100_000;

/** Bytes of an add-checkpoint request: a checkpoint and the consistency proof before it. */
export const addCheckpointBytesMax = noteBytesMax + 5_000;

/** Bytes of the file that a node writes for the others of its cluster. Proxmox VE's file system takes 1 MiB a file. */
export const witnessFileBytesMax = 524_288;

/** Requests, checkpoints and refusals in it, each: as many as a policy has logs or witnesses. */
export const witnessFileEntriesMax = 64;
