import { Injectable, Logger, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { readdirSync, readFileSync, watch, type FSWatcher } from 'node:fs';
import { join } from 'node:path';
import { Config } from '../config.js';
import type { AgentSummary } from '../protocol.js';
import type { PinnedAgent } from '../sessions/pinned-agent.js';
import { RequestError } from '../sessions/request.error.js';
import { parseAgentFile, type ParsedAgent } from './agent.file.js';
import { ToolRegistry } from './tool.registry.js';

/** Editors write a file in several steps, within a few milliseconds of each other. */
const SETTLE_MS = 100;
/** How soon a folder that cannot be watched, having been moved away, is tried again. */
const RETRY_MS = 5000;

/** What is wrong with agent files: `path:line: what` a line. */
export class AgentFileError extends Error {
  constructor(readonly problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'AgentFileError';
  }
}

/** The agents of `AGENTS_DIR`. Changed files are taken up while it runs, for sessions that begin later. */
@Injectable()
export class AgentCatalog implements OnModuleInit, OnModuleDestroy {
  readonly #logger = new Logger(AgentCatalog.name);
  #agents: ReadonlyMap<string, PinnedAgent> = new Map();
  /** What was logged of the present files, so that it is logged once. */
  #complaints: ReadonlySet<string> = new Set();
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #destroyed = false;

  constructor(
    private readonly config: Config,
    private readonly tools: ToolRegistry,
  ) {}

  onModuleInit(): void {
    this.load();
    this.#follow();
  }

  onModuleDestroy(): void {
    this.#destroyed = true;
    this.#unwatch();
  }

  /** The agent that sessions are given which name none. */
  get default(): PinnedAgent {
    const agent = this.#agents.get(this.config.defaultAgent);
    if (!agent) throw new Error('The agents are not loaded yet.');
    return agent;
  }

  /** @param id in any case */
  get(id: string): PinnedAgent | undefined {
    return this.#agents.get(id.trim().toLowerCase());
  }

  /** @param id undefined: the default. @throws RequestError `agent_not_found` */
  require(id: string | undefined): PinnedAgent {
    if (id === undefined) return this.default;
    const agent = this.get(id);
    if (!agent) throw new RequestError('agent_not_found', 'There is no such agent.');
    return agent;
  }

  /** The default first, then by id. */
  list(): AgentSummary[] {
    const first = this.config.defaultAgent;
    return [...this.#agents.values()]
      .sort((a, b) => Number(b.id === first) - Number(a.id === first) || (a.id < b.id ? -1 : 1))
      .map(({ id, name, description }) => ({ id, name, description }));
  }

  /** Reads every file, all or nothing. @throws AgentFileError that lists every problem of every file */
  load(): void {
    this.tools.discover();
    const { agentsDir, defaultAgent } = this.config;
    const files = this.#read();
    const problems = [...files].flatMap(([file, parsed]) => this.#describe(file, parsed));
    if (files.size === 0)
      problems.push(`${agentsDir}: holds no agent: write one as ${defaultAgent}.md there`);
    else if (!files.has(`${defaultAgent}.md`))
      problems.push(`${agentsDir}: holds no ${defaultAgent}.md, which DEFAULT_AGENT names`);
    if (problems.length > 0) throw new AgentFileError(problems);
    this.#agents = agentsOf(files);
  }

  /**
   * Reads every file again; one that is broken keeps its last good version, and the default is never removed.
   * Synchronous: a few small files, at a change.
   */
  #reload(): void {
    const files = this.#read();
    const problems = [...files].flatMap(([file, parsed]) => this.#describe(file, parsed));
    const agents = new Map(agentsOf(files));
    for (const [id, agent] of this.#agents) {
      if (files.has(`${id}.md`)) agents.set(id, agents.get(id) ?? agent);
      else if (id === this.config.defaultAgent) {
        agents.set(id, agent);
        problems.push(
          `${this.config.agentsDir}: ${id}.md is gone, but stays in use: it is the default agent`,
        );
      }
    }
    for (const text of problems) if (!this.#complaints.has(text)) this.#logger.error(text);
    this.#complaints = new Set(problems);
    for (const line of changes(this.#agents, agents)) this.#logger.log(line);
    this.#agents = agents;
  }

  /** @throws AgentFileError if there is no such folder */
  #read(): Map<string, ParsedAgent> {
    const known = this.tools.names();
    return new Map(this.#fileNames().map((file) => [file, this.#parse(file, known)]));
  }

  #fileNames(): string[] {
    const { agentsDir } = this.config;
    try {
      // Files that begin with a dot are editors' and archivers' own.
      return readdirSync(agentsDir)
        .filter((file) => /^[^.].*\.md$/i.test(file))
        .sort();
    } catch (error) {
      const why =
        (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'does not exist' : (error as Error).message;
      throw new AgentFileError([
        `${agentsDir}: ${why}: AGENTS_DIR must be a folder with one <id>.md an agent`,
      ]);
    }
  }

  #parse(file: string, tools: readonly string[]): ParsedAgent {
    try {
      return parseAgentFile(file, readFileSync(join(this.config.agentsDir, file)), tools);
    } catch (error) {
      return { ok: false, problems: [{ line: 1, text: `it cannot be read: ${(error as Error).message}` }] };
    }
  }

  #describe(file: string, parsed: ParsedAgent): string[] {
    if (parsed.ok) return [];
    return parsed.problems.map(({ line, text }) => `${join(this.config.agentsDir, file)}:${line}: ${text}`);
  }

  /** Watches the folder, since editors replace files; and anew each time, since deployments replace folders. */
  #follow(): void {
    this.#unwatch();
    if (this.#destroyed) return;
    try {
      // Watched before it is read: a change between the two would be lost.
      this.#watcher = watch(this.config.agentsDir, { persistent: false }, () => this.#followIn(SETTLE_MS));
      this.#watcher.on('error', () => this.#followIn(RETRY_MS));
      this.#reload();
    } catch (error) {
      const text = (error as Error).message;
      if (!this.#complaints.has(text)) this.#logger.error(text);
      this.#complaints = new Set([text]);
      this.#followIn(RETRY_MS);
    }
  }

  #followIn(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#follow(), delayMs).unref();
  }

  #unwatch(): void {
    clearTimeout(this.#timer);
    this.#watcher?.close();
    this.#watcher = undefined;
  }
}

function agentsOf(files: ReadonlyMap<string, ParsedAgent>): Map<string, PinnedAgent> {
  return new Map(
    [...files.values()].flatMap((parsed) => (parsed.ok ? [[parsed.agent.id, parsed.agent]] : [])),
  );
}

/** What became of which agent, for the log. */
function changes(
  before: ReadonlyMap<string, PinnedAgent>,
  after: ReadonlyMap<string, PinnedAgent>,
): string[] {
  const removed = [...before.keys()].filter((id) => !after.has(id)).map((id) => `agent ${id} removed`);
  const taken = [...after.values()].flatMap(({ id, hash }) => {
    const last = before.get(id);
    if (!last) return [`agent ${id} added`];
    return last.hash === hash ? [] : [`agent ${id} changed: sessions that begin now use it`];
  });
  return [...removed, ...taken];
}
