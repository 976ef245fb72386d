/**
 * A Proxmox API of two nodes and three guests, over real TLS: answers of the shapes that Proxmox VE 9 gives, refusals in
 * its words, and any misbehaviour of a server that a test asks for. It complains about what Proxmox VE would complain about.
 */
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TlsFiles } from '../../src/platform/ovsdb-socket.ts';

export type Misbehaviour =
  | 'no header'
  | 'half a body'
  | 'cut body'
  | '10 MB'
  | 'no JSON'
  | 'no data'
  | 'reset'
  | 'redirect'
  | { readonly status: number; readonly reason: string; readonly body?: string };

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly form: Readonly<Record<string, string>>;
}

interface FakeGuest {
  readonly kind: 'lxc' | 'qemu';
  readonly node: string;
  readonly config: Map<string, string>;
  isRunning: boolean;
  readonly pool?: string;
}

interface FakeTask {
  readonly upid: string;
  readonly type: string;
  readonly id: string;
  /** Looks at its state so far. */
  looks: number;
  /** The look that finds it ended; Infinity: none does. */
  readonly endsAfter: number;
  readonly exit: string;
  readonly lines: string[];
}

/** What the next task does. */
export interface TaskPlan {
  /** Looks at its state until it ends; Infinity: never. */
  readonly looks: number;
  readonly exit: string;
  readonly lines: readonly string[];
}

export class FakeProxmox {
  readonly requests: SeenRequest[] = [];
  readonly guests = new Map<number, FakeGuest>();
  plan: TaskPlan = { looks: 1, exit: 'OK', lines: ['a line', 'TASK OK'] };
  readonly #server: Server;
  readonly #token: string;
  readonly #tasks = new Map<string, FakeTask>();
  #misbehaviour: { how: Misbehaviour; when: (request: SeenRequest) => boolean } | null = null;
  #connections = 0;

  static async start(
    files: TlsFiles,
    token = 'agent@pve!test=12345678-9abc-def0-1234-56789abcdef0',
  ): Promise<FakeProxmox> {
    const fake = new FakeProxmox(files, token);
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve));
    return fake;
  }

  private constructor(files: TlsFiles, token: string) {
    this.#token = token;
    this.#server = createServer(
      { key: readFileSync(files.key), cert: readFileSync(files.certificate) },
      (request, response) => {
        void this.#serve(request, response);
      },
    );
    this.#server.on('secureConnection', () => {
      this.#connections++;
    });
    // Refused handshakes are what some tests want.
    this.#server.on('tlsClientError', () => undefined);
    this.#addGuest(100, { kind: 'lxc', node: 'pve1', isRunning: true, pool: 'web' }, { arch: 'amd64', hostname: 'web01', memory: '512', net0: 'name=eth0,bridge=ovsbr0,hwaddr=BC:24:11:00:01:00,tag=10,type=veth', tags: 'prod;web' }); // prettier-ignore
    this.#addGuest(101, { kind: 'qemu', node: 'pve1', isRunning: false }, { cores: '2', name: 'db01', net0: 'virtio=BC:24:11:00:01:01,bridge=ovsbr1', template: '1' }); // prettier-ignore
    this.#addGuest(200, { kind: 'lxc', node: 'pve2', isRunning: false }, { hostname: 'far', lock: 'backup' });
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** TLS connections so far. */
  get connections(): number {
    return this.#connections;
  }

  /** A file with the token, as an administrator writes it. */
  writeToken(folder: string, token = this.#token): string {
    const file = join(folder, 'token');
    // The mode is of new files alone.
    rmSync(file, { force: true });
    writeFileSync(file, `${token}\n`, { mode: 0o600 });
    return file;
  }

  get secret(): string {
    return this.#token.split('=')[1] ?? '';
  }

  /** From now on, for the requests that `when` chooses; null ends it. */
  misbehave(how: Misbehaviour | null, when: (request: SeenRequest) => boolean = () => true): void {
    this.#misbehaviour = how === null ? null : { how, when };
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #addGuest(vmid: number, facts: Omit<FakeGuest, 'config'>, config: Record<string, string>): void {
    this.guests.set(vmid, { ...facts, config: new Map(Object.entries(config)) });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', this.url);
    let body = '';
    for await (const chunk of request) body += String(chunk);
    const form = Object.fromEntries(new URLSearchParams(request.method === 'GET' || request.method === 'DELETE' ? url.search : body)); // prettier-ignore
    // Proxmox VE decodes the whole path before it takes it apart.
    const seen = {
      method: request.method ?? '',
      path: decodeURIComponent(url.pathname).replace('/api2/json', ''),
      form,
    };
    this.requests.push(seen);
    if (this.#misbehaviour?.when(seen) === true) this.#misbehaveNow(this.#misbehaviour.how, response);
    else if (request.headers.authorization !== `PVEAPIToken=${this.#token}`)
      refuse(response, 401, 'invalid token value!');
    else this.#answer(seen, response);
  }

  #answer({ method, path, form }: SeenRequest, response: ServerResponse): void {
    const [, node, kind, vmid, rest = ''] = /^\/nodes\/([^/]+)\/(lxc|qemu)\/(\d+)\/(.+)$/.exec(path) ?? [];
    const [, upid, part] = /^\/nodes\/[^/]+\/tasks\/([^/]+)\/(status|log)$/.exec(path) ?? [];
    if (method === 'GET' && path === '/cluster/resources') send(response, [...this.guests].map(resourceRow));
    else if (method === 'GET' && path === '/cluster/nextid') send(response, '102');
    else if (upid !== undefined) this.#answerTask(upid, part, form, response);
    else if (method === 'POST' && path === '/nodes/pve1/lxc') this.#create(form, response);
    else if (vmid === undefined) refuse(response, 501, `Method '${method} ${path}' not implemented`);
    else {
      const guest = this.guests.get(Number(vmid));
      if (guest === undefined || guest.node !== node || guest.kind !== kind) {
        const folder = kind === 'lxc' ? 'lxc' : 'qemu-server';
        refuse(response, 500, `Configuration file 'nodes/${String(node)}/${folder}/${vmid}.conf' does not exist`);
      } else this.#answerGuest(guest, vmid, { method, path: rest, form }, response);
    }
  }

  #answerGuest(guest: FakeGuest, vmid: string, { method, path, form }: SeenRequest, response: ServerResponse): void {
    if (method === 'GET' && path === 'config') {
      send(response, { ...Object.fromEntries(guest.config), digest: digestOf(guest) });
      return;
    }
    const label = guest.kind === 'lxc' ? 'CT' : 'VM';
    const lock = guest.config.get('lock');
    if (lock !== undefined) refuse(response, 500, `${label} is locked (${lock})`);
    else if (method === 'PUT' && path === 'config') {
      const { digest, delete: gone, ...set } = form;
      if (digest !== digestOf(guest))
        refuse(response, 500, 'detected modified configuration - file changed by other user? Try again.'); // prettier-ignore
      else if (set['net0']?.includes('bridge=none') === true)
        refuse(response, 400, 'Parameter verification failed.', { net0: "unable to hotplug net0: bridge 'none' does not exist\n" }); // prettier-ignore
      else {
        for (const [key, value] of Object.entries(set)) guest.config.set(key, value);
        if (gone !== undefined) guest.config.delete(gone);
        send(response, null);
      }
    } else if (method === 'POST' && /^status\/(?:start|stop|shutdown|reboot)$/.test(path)) {
      const action = path.slice('status/'.length);
      if (action === 'start' && guest.isRunning) refuse(response, 500, `${label} ${vmid} already running`);
      else {
        guest.isRunning = action === 'start' || action === 'reboot';
        send(response, this.#startTask(`${guest.kind === 'lxc' ? 'vz' : 'qm'}${action}`, vmid, guest.node));
      }
    } else refuse(response, 501, `Method '${method} ${path}' not implemented`);
  }

  #create(form: Readonly<Record<string, string>>, response: ServerResponse): void {
    const { vmid = '', ostemplate, ...config } = form;
    const errors: Record<string, string> = {};
    if (ostemplate === undefined) errors['ostemplate'] = 'property is missing and it is not optional';
    if (!/^\d+$/.test(vmid)) errors['vmid'] = "type check ('integer') failed - got ''";
    if (Object.keys(errors).length > 0) refuse(response, 400, 'Parameter verification failed.', errors);
    else if (this.guests.has(Number(vmid)))
      refuse(response, 500, `unable to create CT ${vmid} - CT ${vmid} already exists on node 'pve1'`); // prettier-ignore
    else {
      this.#addGuest(Number(vmid), { kind: 'lxc', node: 'pve1', isRunning: config['start'] === '1' }, config);
      send(response, this.#startTask('vzcreate', vmid, 'pve1'));
    }
  }

  #startTask(type: string, id: string, node: string): string {
    const number = (this.#tasks.size + 1).toString(16).toUpperCase().padStart(8, '0');
    const upid = `UPID:${node}:${number}:0099AABB:68AE1234:${type}:${id}:agent@pve!test:`;
    this.#tasks.set(upid, { upid, type, id, looks: 0, endsAfter: this.plan.looks, exit: this.plan.exit, lines: [...this.plan.lines] }); // prettier-ignore
    return upid;
  }

  #answerTask(
    upid: string,
    part: string | undefined,
    form: Readonly<Record<string, string>>,
    response: ServerResponse,
  ): void {
    const task = this.#tasks.get(upid);
    if (task === undefined) {
      refuse(response, 500, 'no such task');
      return;
    }
    if (part === 'status') {
      const isRunning = task.looks++ < task.endsAfter;
      const node = upid.split(':')[1];
      send(response, { upid, node, type: task.type, id: task.id, user: 'agent@pve', tokenid: 'test', pid: 1, pstart: 2, starttime: 3, status: isRunning ? 'running' : 'stopped', ...(!isRunning && { exitstatus: task.exit }) }); // prettier-ignore
      return;
    }
    // While it runs, one line more with each look.
    const shown = task.looks > task.endsAfter ? task.lines.length : task.looks - 1;
    const start = Number(form['start'] ?? 0);
    const all = task.lines.slice(0, shown).map((t, index) => ({ n: index + 1, t }));
    const page = all.slice(start, start + Number(form['limit'] ?? 50));
    send(response, page.length === 0 && start === 0 ? [{ n: 1, t: 'no content' }] : page);
  }

  #misbehaveNow(how: Misbehaviour, response: ServerResponse): void {
    if (typeof how === 'object') {
      response.writeHead(how.status, how.reason, { 'Content-Type': 'application/json;charset=UTF-8' });
      response.end(how.body ?? '{"data":null}');
      return;
    }
    switch (how) {
      case 'no header':
        return;
      case 'half a body':
      case 'cut body':
        response.writeHead(200, { 'Content-Length': 1000 });
        response.write('{"data":[');
        if (how === 'cut body') setImmediate(() => response.destroy());
        return;
      case '10 MB':
        response.end(`{"data":"${'x'.repeat(10 * 1024 * 1024)}"}`);
        return;
      case 'no JSON':
        response.end('<html>login</html>');
        return;
      case 'no data':
        response.end('[]');
        return;
      case 'reset':
        response.destroy();
        return;
      case 'redirect':
        response.writeHead(301, { Location: 'https://elsewhere.example/' }).end();
    }
  }
}

function resourceRow([vmid, { kind, node, config, isRunning, pool }]: [number, FakeGuest]): object {
  const lock = config.get('lock');
  const tags = config.get('tags');
  return {
    id: `${kind}/${vmid}`,
    type: kind,
    vmid,
    node,
    name: config.get('hostname') ?? config.get('name'),
    status: isRunning ? 'running' : 'stopped',
    template: Number(config.get('template') ?? 0),
    uptime: isRunning ? 60 : 0,
    ...(tags !== undefined && { tags }),
    ...(lock !== undefined && { lock }),
    ...(pool !== undefined && { pool }),
  };
}

function digestOf({ config }: FakeGuest): string {
  return createHash('sha1').update(JSON.stringify([...config])).digest('hex'); // prettier-ignore
}

function send(response: ServerResponse, data: unknown): void {
  response.writeHead(200, 'OK', { 'Content-Type': 'application/json;charset=UTF-8' });
  response.end(JSON.stringify({ data }));
}

/** The words stand in the status line, and since Proxmox VE 8 in the body too. */
function refuse(response: ServerResponse, status: number, message: string, errors?: Record<string, string>): void {
  response.writeHead(status, message, { 'Content-Type': 'application/json;charset=UTF-8' });
  response.end(JSON.stringify({ data: null, message: `${message}\n`, ...(errors !== undefined && { errors }) }));
}
