/**
 * One exchange with the Proxmox API: a call becomes a request, an answer becomes data or an error. Pure; the request is
 * carried by an `ApiTransport` that the outside hands in.
 */
import { AgentError } from '../model/errors.ts';
import type { ErrorCode } from '../model/errors.ts';
import { quote } from '../model/names.ts';
import { codeOfRefusal, plainText, ProxmoxError } from './api-error.ts';
import { isObject, parseObject } from './json-object.ts';

export type ApiMethod = 'GET' | 'POST' | 'PUT' | 'DELETE';

export interface ApiRequest {
  readonly method: ApiMethod;
  /** `/api2/json/...`, encoded, without a query. */
  readonly path: string;
  /** `application/x-www-form-urlencoded`; in the URL for GET and DELETE, in the body otherwise. */
  readonly form: string;
  /** From now until the last byte of the answer, in milliseconds. */
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
}

export type ApiAnswer =
  | {
      readonly kind: 'answered';
      readonly status: number;
      /** Proxmox VE's own message stands in the status line. */
      readonly reason: string;
      readonly location: string | null;
      readonly text: string;
    }
  | {
      readonly kind: 'failed';
      readonly code: ErrorCode;
      readonly message: string;
      /** Whether the server may have seen the request. */
      readonly mayHaveArrived: boolean;
    };

/**
 * Never repeats a change, never follows a redirect, never sends anything to a server that it has not verified. Resolves
 * with `failed` for everything that goes wrong on the way.
 */
export interface ApiTransport {
  exchange(request: ApiRequest): Promise<ApiAnswer>;
}

/** Parameters as the callers write them: `undefined` and null are left out, true and false become 1 and 0. */
export type ApiParameters = Readonly<Record<string, unknown>>;

/**
 * `path` and `template` as `proxmox-api` hands them: the same segments, a `*` in the template for each that a caller gave.
 * Those are the ones from outside; one that Proxmox VE could take for a part of the path is refused.
 */
export function encodePath(path: string, template: string): string {
  const segments = path.split('/');
  const pattern = template.split('/');
  if (segments.length !== pattern.length) throw badSegment(path);
  return segments.map((segment, index) => (pattern[index] === '*' ? encodeSegment(segment) : segment)).join('/');
}

export function encodeForm(parameters: ApiParameters): string {
  const form = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters)) {
    if (value === undefined || value === null) continue;
    if (typeof value === 'boolean') form.append(key, value ? '1' : '0');
    else if (typeof value === 'string' || typeof value === 'number') form.append(key, String(value));
    else throw new AgentError('InvalidArgument', `parameter ${quote(key)} is no text, number or boolean`);
  }
  return form.toString();
}

/** The `data` of an answer. Throws `ProxmoxError`. */
export function readAnswer({ method, path }: Pick<ApiRequest, 'method' | 'path'>, answer: ApiAnswer): unknown {
  const isChange = method !== 'GET';
  const what = `Proxmox VE: ${method} ${path.replace(/^\/api2\/json/, '')}`;
  const doubt = '; whether it was done is not known: look before you ask again';
  if (answer.kind === 'failed') {
    const isOutcomeUnknown = isChange && answer.mayHaveArrived;
    throw new ProxmoxError(answer.code, `${what}: ${answer.message}${isOutcomeUnknown ? doubt : ''}`, {
      isOutcomeUnknown,
    });
  }
  const { status, text, location } = answer;
  const body = parseObject(text);
  if (status === 200) {
    if (body !== null && Object.hasOwn(body, 'data')) return body['data'];
    // Done, most likely; but what came back is not what was asked for.
    throw new ProxmoxError('Unavailable', `${what}: the answer is not one of Proxmox VE${isChange ? doubt : ''}`, {
      status,
      isOutcomeUnknown: isChange,
    });
  }
  const { reason, errors } = readRefusal(answer.reason, body);
  if (status >= 300 && status < 400) {
    const target = location === null ? '' : ` to ${quote(location)}`;
    throw new ProxmoxError('Unavailable', `${what}: ${status}: redirects${target} are not followed; set url to the API itself`, { status }); // prettier-ignore
  }
  const details = Object.entries(errors).map(([key, problem]) => `${key}: ${problem}`);
  const words = plainText([reason, ...details].join(' '));
  // A gateway, or the node in between, may have passed a change on before it gave up.
  const isOutcomeUnknown = isChange && (status >= 590 || [502, 503, 504].includes(status));
  throw new ProxmoxError(
    codeOfRefusal(status, words, isChange),
    `${what}: ${status} ${words}${isOutcomeUnknown ? doubt : ''}`,
    { status, errors, isOutcomeUnknown },
  );
}

function encodeSegment(segment: string): string {
  // `proxmox-api` has escaped slashes itself.
  const text = segment.replaceAll('%2F', '/');
  if (text === '' || text === '.' || text === '..' || /[/?#%\\\s\p{Cc}]/u.test(text)) throw badSegment(text);
  return encodeURIComponent(text);
}

function badSegment(text: string): AgentError {
  return new AgentError('InvalidArgument', `${quote(text)} cannot stand in a path of the Proxmox API`);
}

function readRefusal(
  reason: string,
  body: Readonly<Record<string, unknown>> | null,
): { reason: string; errors: Record<string, string> } {
  const errors: Record<string, string> = {};
  const told = body?.['errors'];
  if (isObject(told))
    for (const [key, value] of Object.entries(told)) errors[plainText(key)] = plainText(String(value));
  const message = body?.['message'];
  return { reason: plainText(typeof message === 'string' && message.trim() !== '' ? message : reason), errors };
}
