/** What a handler of the resource table is. */
import type { Cause } from '../ports/contracts.ts';
import type { Parameters } from '../resources/schema.ts';
import type { Service } from './service.ts';

export interface HandlerCall {
  readonly parameters: Parameters;
  readonly cause: Cause;
  readonly signal: AbortSignal;
}

export type Handler = (service: Service, call: HandlerCall) => Promise<unknown>;
