/** What the cluster file system's files say, in one object: `platform` reads the files and is handed this. */
import { parseClusterVersion, parseMembers, parseVmlist } from './cluster-state.ts';
import { parseGuestConfig, parseGuestDetails } from './guest-config.ts';
import { parseHaResources } from './ha-resources.ts';
import { parsePools } from './pools.ts';

export const clusterCodec = {
  version: parseClusterVersion,
  vmlist: parseVmlist,
  members: parseMembers,
  guestConfig: parseGuestConfig,
  guestDetails: parseGuestDetails,
  haResources: parseHaResources,
  pools: parsePools,
};

export type ClusterCodec = typeof clusterCodec;
