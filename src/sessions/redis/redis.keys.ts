/** The names of all that is kept in Redis. What belongs to one session carries one hash tag, so that a script may touch all of it. */
const PREFIX = 'mooring';
/** Of a cluster: so many that they spread evenly over its masters, so few that asking each is cheap. */
const CLUSTER_PARTITIONS = 64;

/** The keys of one session; the order is that in which scripts are given them, after the generation. */
export interface SessionKeys {
  partition: number;
  /** Hash: the record. */
  record: string;
  /** Stream: the log; an entry `to-0` holds the events after the entry before it, up to `to`. */
  log: string;
  /** Hash: position → message. */
  messages: string;
  /** Hash: message id → position. */
  places: string;
  /** Hash: `send <id>`, `retry <id>` → RequestRecord; `turn <id>` → the request's field. */
  requests: string;
  /** Present for as long as the id of a session that ended is refused. */
  gone: string;
  index: PartitionKeys;
}

/** The keys of one partition. */
export interface PartitionKeys {
  /** String: the run of Redis under which its histories are whole. */
  generation: string;
  /** String: since when it is that run, epoch milliseconds. */
  since: string;
  /** Sorted set: session ids by `updatedAt`. */
  all: string;
  /** Sorted sets: detached idle sessions by `idleSince`; those without a message apart, as they expire sooner. */
  idle: string;
  empty: string;
  /** Set: sessions with a socket on some node. */
  attached: string;
  /** Sorted set: sessions with an open turn, or a lease, by when whoever wants may claim them. */
  due: string;
  /** Hash: the versions of agents that sessions are pinned to. */
  agents: string;
}

export class RedisKeys {
  readonly partitions: number;
  /** Sorted set: the nodes by when they were last seen. */
  readonly nodes = `${PREFIX}:{nodes}`;

  constructor(clustered: boolean) {
    this.partitions = clustered ? CLUSTER_PARTITIONS : 1;
  }

  session(sessionId: string): SessionKeys {
    const partition = hashOf(sessionId) % this.partitions;
    const tag = tagOf(partition);
    return {
      partition,
      record: `${tag}:session:${sessionId}`,
      log: `${tag}:log:${sessionId}`,
      messages: `${tag}:messages:${sessionId}`,
      places: `${tag}:places:${sessionId}`,
      requests: `${tag}:requests:${sessionId}`,
      gone: `${tag}:gone:${sessionId}`,
      index: this.partition(partition),
    };
  }

  partition(partition: number): PartitionKeys {
    const tag = tagOf(partition);
    return {
      generation: `${tag}:generation`,
      since: `${tag}:since`,
      all: `${tag}:all`,
      idle: `${tag}:idle`,
      empty: `${tag}:empty`,
      attached: `${tag}:attached`,
      due: `${tag}:due`,
      agents: `${tag}:agents`,
    };
  }

  /** Sorted set: a subject's sessions in a partition, by `updatedAt`. */
  owned(partition: number, subject: string): string {
    return `${tagOf(partition)}:owned:${subject}`;
  }

  /** String: a session of this subject is being made. */
  making(subject: string): string {
    return `${tagOf(hashOf(subject) % this.partitions)}:making:${subject}`;
  }

  /** Hash: day → tokens that a subject used in a partition's sessions. */
  spent(partition: number, subject: string): string {
    return `${tagOf(partition)}:spent:${subject}`;
  }

  /** Set: the sessions of a partition that a node holds sockets of. */
  held(partition: number, node: string): string {
    return `${tagOf(partition)}:held:${node}`;
  }

  /** Where a node is told of events, and asked to end turns. */
  channel(node: string): string {
    return `${CHANNEL}${node}`;
  }

  allPartitions(): number[] {
    return Array.from({ length: this.partitions }, (_, partition) => partition);
  }
}

/** Known to the scripts as well. */
export const CHANNEL = `${PREFIX}:node:`;

function tagOf(partition: number): string {
  return `${PREFIX}:{${partition}}`;
}

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}
