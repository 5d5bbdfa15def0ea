import type { Invariant } from '../check/violation.ts';

/** A fault that is put into a copy of the build, and the lie that a scenario must then find. */
export interface Mutation {
  name: string;
  scenario: string;
  invariant: Invariant;
  /** Where it needs longer than others. */
  seconds?: number;
  /** Within `dist`. */
  file: string;
  /** Each text must be there exactly once. */
  edits: [search: string, replace: string][];
}

export const MUTATIONS: Mutation[] = [
  {
    name: 'the end of a turn forgets what was still gathered',
    scenario: 'calm',
    invariant: 'I1',
    file: 'streaming/session.emitter.js',
    edits: [['this.#entries(this.#gathered.concat(closing))', 'this.#entries(closing)']],
  },
  {
    name: 'every answer is stored as completed',
    scenario: 'calm',
    invariant: 'I3',
    file: 'agents/turn.runner.js',
    edits: [['status: ending.state,', "status: 'completed',"]],
  },
  {
    name: 'the turns of a prompt stand in the wrong order',
    scenario: 'calm',
    invariant: 'I5',
    file: 'agents/transcript.js',
    edits: [['[system, ...turns.reverse().flat()]', '[system, ...turns.flat()]']],
  },
  {
    name: 'the persona is no part of a prompt',
    scenario: 'calm',
    invariant: 'I5',
    file: 'agents/transcript.js',
    edits: [['[system, ...turns.reverse().flat()]', 'turns.reverse().flat()']],
  },
  {
    name: 'any key opens any session',
    scenario: 'calm',
    invariant: 'I6',
    file: 'sessions/session.service.js',
    edits: [['isOwner(found?.session.owner ?? NOBODY, principal, key)', 'true']],
  },
  {
    name: 'a request needs no bound session',
    scenario: 'calm',
    invariant: 'I6',
    file: 'gateway/chat.gateway.js',
    edits: [
      [
        'this.sessions.requireBound(connection, sessionId);\n        return { ok: true, data: await this.sessions.history',
        'return { ok: true, data: await this.sessions.history',
      ],
    ],
  },
  {
    name: 'a replay begins with an event that the client has',
    scenario: 'flapping',
    invariant: 'I2',
    file: 'sessions/embedded/active.sessions.js',
    edits: [
      ['active.log.slice(seq - active.logFrom)', 'active.log.slice(Math.max(0, seq - active.logFrom - 1))'],
    ],
  },
  {
    name: 'a replay lacks its first event',
    scenario: 'flapping',
    invariant: 'I3',
    file: 'sessions/embedded/active.sessions.js',
    edits: [['active.log.slice(seq - active.logFrom)', 'active.log.slice(seq - active.logFrom + 1)']],
  },
  {
    name: 'a socket that is gone stays bound',
    scenario: 'flapping',
    invariant: 'I7',
    file: 'gateway/chat.gateway.js',
    edits: [['await this.sessions.disconnect(socket.data.connection);', '']],
  },
  {
    name: "a returning client's position is not looked at",
    scenario: 'cuts',
    invariant: 'I2',
    file: 'sessions/session.bindings.js',
    edits: [
      [
        'reading = await this.store.read(sessionId, position);',
        'reading = await this.store.read(sessionId, undefined);',
      ],
    ],
  },
  {
    name: 'clients that vanished are never noticed',
    scenario: 'cuts',
    invariant: 'I7',
    file: 'gateway/socket.adapter.js',
    edits: [['pingTimeout: LIMITS.pingTimeoutMs', 'pingTimeout: 3_600_000']],
  },
  {
    name: 'what a slow client gets later begins elsewhere than it is said to',
    scenario: 'slow-readers',
    invariant: 'I2',
    file: 'sessions/session.bindings.js',
    edits: [
      [
        'from: cursor.seq, to: seq, events: reading.events',
        'from: cursor.seq + 1, to: seq, events: reading.events',
      ],
    ],
  },
  {
    name: 'a slow client is forgotten when it reads again',
    scenario: 'slow-readers',
    invariant: 'I7',
    file: 'sessions/session.bindings.js',
    edits: [["if (binding?.state === 'held')", 'if (binding === null)']],
  },
  {
    name: 'a repeated message is taken for a new one',
    scenario: 'duplicates',
    invariant: 'I4',
    file: 'sessions/session.rules.js',
    edits: [
      [
        'if (known)\n        return repeated(session, known, command.digest);\n    if (lookup.message',
        'if (lookup.message',
      ],
      ["return { outcome: { kind: 'conflict' } };\n    if (!command.admit)", ';\n    if (!command.admit)'],
    ],
  },
  {
    name: 'a message is now and then refused for no reason',
    scenario: 'duplicates',
    invariant: 'I4',
    file: 'agents/agent-loop.service.js',
    edits: [
      [
        "text, whenBusy = 'enqueue' } = request;",
        "text, whenBusy = 'enqueue' } = request;\n        if (Math.random() < 0.2) throw new RequestError('draining', 'For no reason.');",
      ],
    ],
  },
  {
    name: 'a stream that was cut counts as finished',
    scenario: 'provider',
    invariant: 'I1',
    file: 'agents/openai/answer.reader.js',
    edits: [
      [
        'this.fail(toNetworkError(error));',
        "this.onPart({ type: 'finish', reason: 'stop' });\n        this.#finish();",
      ],
    ],
  },
  {
    name: 'a connection that is left unread is not read again',
    scenario: 'provider',
    invariant: 'I3',
    file: 'agents/openai/answer.reader.js',
    edits: [['connection.release()', 'undefined']],
  },
  {
    name: 'a model that failed amid its answer is asked again',
    scenario: 'provider',
    invariant: 'I4',
    file: 'agents/model.call.js',
    edits: [['delayMs = hasContent ? undefined : repeatDelayMs', 'delayMs = repeatDelayMs']],
  },
  {
    name: 'the journal is not read after a crash',
    scenario: 'crash',
    invariant: 'I2',
    file: 'sessions/sqlite/sqlite.recovery.js',
    edits: [['        replayJournal(db, now);\n', '']],
  },
  {
    name: 'a message is acknowledged before it is durable',
    scenario: 'crash',
    invariant: 'I4',
    file: 'agents/agent-loop.service.js',
    edits: [
      [
        "const outcome = await this.store.accept(sessionId, {\n            kind: 'send',",
        `const later = (command) => {
            const store = () => this.store.accept(sessionId, command);
            setTimeout(() => store().then((outcome) => this.#answer(sessionId, outcome)).catch(() => undefined), 800);
            return { kind: 'duplicate', messageId, turnId: command.turnId, state: 'queued' };
        };
        const outcome = later({
            kind: 'send',`,
      ],
    ],
  },
  {
    name: 'a stop does not wait for running turns',
    scenario: 'drain',
    invariant: 'I3',
    file: 'gateway/drain.service.js',
    edits: [['await this.loop.drain(drainTimeoutMs);', '']],
  },
  {
    name: 'a stop fails in the end',
    scenario: 'drain',
    invariant: 'I7',
    file: 'main.js',
    edits: [['process.exit(0)', 'process.exit(3)']],
  },
  {
    name: 'writes that the disk refused count as made',
    scenario: 'disk-full',
    invariant: 'I4',
    file: 'sessions/sqlite/group.commit.js',
    edits: [
      [
        'for (const { reject } of waiting)\n                reject(told);',
        'for (const { resolve } of waiting)\n                resolve(told);',
      ],
    ],
  },
  {
    name: 'the clock is the wall clock',
    scenario: 'clock',
    invariant: 'I2',
    file: 'clock.js',
    edits: [['Math.round(performance.timeOrigin + performance.now())', 'Date.now()']],
  },
  {
    name: 'each transport leaves a timer behind',
    scenario: 'churn',
    invariant: 'I7',
    file: 'gateway/socket.adapter.js',
    edits: [
      [
        'const left = this.#limits.count(conn.request);',
        'const left = this.#limits.count(conn.request);\n            setInterval(() => conn, 60_000);',
      ],
    ],
  },
  {
    name: 'merged deltas are joined in the wrong order',
    scenario: 'everything',
    invariant: 'I1',
    file: 'sessions/coalescer.js',
    edits: [["pieces.join('')", "pieces.reverse().join('')"]],
  },
];
