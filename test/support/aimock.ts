import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** The first that matches answers; an entry without conditions matches all. */
export interface AimockFixture {
  match: {
    /** A part of the last user message. */
    userMessage?: string;
    /** A part of the persona. */
    systemMessage?: string;
    model?: string;
    /** Whether a tool's result stands after the last user message. */
    hasToolResult?: boolean;
    /** Only the request that is this one, counted from 0, of those that match. */
    sequenceIndex?: number;
    /** Only requests with so many messages of the assistant. */
    turnIndex?: number;
  };
  response:
    | {
        content?: string;
        reasoning?: string;
        toolCalls?: { name: string; arguments: string | Record<string, unknown>; id?: string }[];
        finishReason?: string;
        usage?: { prompt_tokens: number; completion_tokens: number };
      }
    /** `retryAfter` in seconds; aimock always says 1 with 429 if it is absent. */
    | { error: { message: string; type?: string; code?: string }; status: number; retryAfter?: number };
  /** Milliseconds before each chunk. */
  latency?: number;
  /** Characters of text in a chunk. */
  chunkSize?: number;
  /** The connection is cut after so many chunks, of which the first holds the role only. */
  truncateAfterChunks?: number;
  disconnectAfterMs?: number;
}

export interface Aimock {
  /** With `/v1`: an OPENAI_BASE_URL. */
  url: string;
  /** Bodies of all chat requests so far, oldest first; one over 64 KiB is a mark of aimock's own. */
  requests(): Promise<AimockRequest[]>;
  stop(): Promise<void>;
}

export interface AimockRequest {
  model: string;
  messages: Record<string, unknown>[];
  [field: string]: unknown;
}

const CLI = join(dirname(createRequire(import.meta.url).resolve('@copilotkit/aimock')), 'cli.js');
const LISTENING = /listening on (http:\/\/127\.0\.0\.1:\d+)/;
const START_TIMEOUT_MS = 15_000;

/** Starts aimock, a model server that others wrote, as a process of its own on a free port of 127.0.0.1. */
export async function startAimock(fixtures: AimockFixture[]): Promise<Aimock> {
  const directory = await mkdtemp(join(tmpdir(), 'mooring-aimock-'));
  const file = join(directory, 'fixtures.json');
  await writeFile(file, JSON.stringify({ fixtures }));
  // Strict: a request that no fixture matches is an error, not a 404 that might be what a test expects.
  const args = [CLI, '--host', '127.0.0.1', '--port', '0', '--fixtures', file, '--strict'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const stop = async (): Promise<void> => {
    // It holds nothing worth an orderly end, which would wait for open streams.
    child.kill('SIGKILL');
    await exited;
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const origin = await listening(child);
    return { url: `${origin}/v1`, requests: () => journal(origin), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function listening(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = '';
    const fail = (why: string): void => reject(new Error(`aimock ${why}: ${output}`));
    const timer = setTimeout(() => fail('did not start'), START_TIMEOUT_MS);
    const read = (chunk: Buffer): void => {
      output += chunk.toString();
      const origin = LISTENING.exec(output)?.[1];
      if (origin === undefined) return;
      clearTimeout(timer);
      resolve(origin);
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    child.once('error', (error) => fail(error.message));
    child.once('exit', () => {
      clearTimeout(timer);
      fail('ended');
    });
  });
}

async function journal(origin: string): Promise<AimockRequest[]> {
  const response = await fetch(`${origin}/__aimock/journal?path=/chat/completions`);
  if (!response.ok) throw new Error(`aimock's journal answered ${response.status}`);
  const entries = (await response.json()) as { body: AimockRequest }[];
  return entries.map(({ body }) => body);
}
