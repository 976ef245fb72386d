/** `[proxmox]` of the configuration file, strict. */
import * as z from 'zod';
import { absolutePath } from './schema-parts.ts';

/** How the Proxmox API is reached; without this section it is not. */
export const proxmoxSchema = z
  .strictObject({
    url: z
      .string()
      .regex(/^https:\/\/(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?\/?$/, 'expected https://HOST:8006')
      .default('https://localhost:8006')
      .describe('where the Proxmox API listens'),
    token_file: absolutePath.describe('file with the API token, USER@REALM!TOKENID=SECRET, mode 0600'),
    ca: absolutePath
      .optional()
      .describe("authority of the API's certificate, PEM; default: pve-root-ca.pem in pve_dir"),
    fingerprint: z
      .string()
      .regex(/^(?:[0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}$/, 'expected a SHA-256: 32 bytes in hexadecimal, with colons')
      .optional()
      .describe("SHA-256 of the API's own certificate, instead of an authority"),
  })
  .refine(
    ({ ca, fingerprint }) => ca === undefined || fingerprint === undefined,
    'ca and fingerprint exclude each other',
  );
