import type { PortName, Vmid } from '../model/names.ts';

/** A guest, or a port that was handed over. */
export type Subject = Vmid | PortName;

/** What a pass looks at. */
export type Scope = 'all' | ReadonlySet<Subject>;
