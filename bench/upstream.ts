/**
 * The model server that feeds every contender: OpenAI-compatible chat completions, streamed, paced or at full
 * speed as the prompt says. A process of its own, cheap in CPU, so that it is not what is measured.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { createHistogram } from 'node:perf_hooks';
import { serve } from './rpc.ts';
import { askOf, nowMicros, stampedText, tokenText, type Ask } from './tokens.ts';

/** Since the last {@link reset}. Times in milliseconds. */
export interface UpstreamStats {
  tokens: number;
  answers: number;
  /** How late paced tokens were written. */
  lateP50: number;
  lateP99: number;
  /** Reached speed of paced answers against what was asked; 1 is all of it. */
  pace: number;
  /** CPU time, µs. */
  cpu: number;
}

const TICK_MS = 1;

const late = createHistogram();
let tokens = 0;
let answers = 0;
let paces = 0;
let pacedAnswers = 0;
let cpu = process.cpuUsage();

function reset(): void {
  late.reset();
  tokens = answers = paces = pacedAnswers = 0;
  cpu = process.cpuUsage();
}

function stats(): UpstreamStats {
  const { user, system } = process.cpuUsage(cpu);
  return {
    tokens,
    answers,
    lateP50: late.count > 0 ? late.percentile(50) / 1_000 : 0,
    lateP99: late.count > 0 ? late.percentile(99) / 1_000 : 0,
    pace: pacedAnswers > 0 ? paces / pacedAnswers : 1,
    cpu: user + system,
  };
}

// ---- Frames ---------------------------------------------------------------------------------------------

function event(data: string): Buffer {
  const body = `data: ${data}\n\n`;
  return Buffer.from(`${Buffer.byteLength(body).toString(16)}\r\n${body}\r\n`);
}

function chunk(delta: object, finish: string | null = null, usage?: object): Buffer {
  return event(
    JSON.stringify({
      id: 'chatcmpl-bench',
      object: 'chat.completion.chunk',
      created: 1_700_000_000,
      model: 'bench',
      choices: usage ? [] : [{ index: 0, delta, finish_reason: finish }],
      ...(usage && { usage }),
    }),
  );
}

const plain: Buffer[] = [];

function frame(index: number, { stamped, length }: Ask): Buffer {
  if (stamped) return chunk({ content: stampedText(index, nowMicros()) });
  if (length) return chunk({ content: tokenText(index, length) });
  return (plain[index] ??= chunk({ content: tokenText(index) }));
}

const BEGIN = chunk({ role: 'assistant', content: '' });

/** The last frames; the response itself adds the end of the body. */
function ending(count: number): Buffer {
  const usage = { prompt_tokens: 10, completion_tokens: count, total_tokens: 10 + count };
  return Buffer.concat([chunk({}, 'stop'), chunk({}, null, usage), event('[DONE]')]);
}

// ---- Answers --------------------------------------------------------------------------------------------

/** Frames are written to the connection itself: the response would frame each token anew. */
class Answer {
  index = 0;
  readonly ask: Ask;
  readonly begin = performance.now();
  readonly #response: ServerResponse;
  readonly #socket: Socket;
  readonly #phase: number;

  constructor(ask: Ask, response: ServerResponse) {
    this.ask = ask;
    this.#response = response;
    response.writeHead(200, { 'content-type': 'text/event-stream', 'transfer-encoding': 'chunked' });
    response.flushHeaders();
    this.#socket = response.socket as Socket;
    this.#socket.write(BEGIN);
    // Spread over one interval by an even sequence, as streams that know nothing of each other are.
    this.#phase = ask.rate > 0 ? (((answers * 0.618) % 1) * 1_000) / ask.rate : 0;
    answers += 1;
  }

  get over(): boolean {
    return this.index >= this.ask.tokens || this.#socket.destroyed;
  }

  /** Writes what is due. */
  tick(now: number): void {
    const interval = 1_000 / this.ask.rate;
    while (!this.over) {
      const due = this.begin + this.#phase + this.index * interval;
      if (due > now) return;
      this.#write();
      late.record(Math.max(1, Math.round((now - due) * 1_000)));
    }
    const asked = this.#phase + (this.ask.tokens - 1) * interval;
    if (asked > 0) {
      paces += Math.min(1, (asked + TICK_MS) / (now - this.begin));
      pacedAnswers += 1;
    }
    this.#end();
  }

  /** One token a write, as model servers do, in turn with the other answers. */
  async pour(): Promise<void> {
    while (!this.over) {
      this.#write();
      if (this.#socket.writableNeedDrain) {
        await new Promise<void>((resolve) => {
          this.#socket.once('drain', resolve);
          this.#socket.once('close', resolve);
        });
      } else {
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    this.#end();
  }

  #write(): void {
    this.#socket.write(frame(this.index, this.ask));
    this.index += 1;
    tokens += 1;
  }

  #end(): void {
    if (this.#socket.destroyed) return;
    this.#socket.write(ending(this.ask.tokens));
    this.#response.end();
  }
}

const paced = new Set<Answer>();
let ticking = false;

function tick(): void {
  const now = performance.now();
  for (const answer of paced) {
    answer.tick(now);
    if (answer.over) paced.delete(answer);
  }
  ticking = paced.size > 0;
  if (ticking) setTimeout(tick, TICK_MS);
}

function answer(body: string, response: ServerResponse): void {
  const { messages } = JSON.parse(body) as { messages: { role: string; content: unknown }[] };
  const { content } = messages.findLast(({ role }) => role === 'user') ?? {};
  const ask = askOf(typeof content === 'string' ? content : JSON.stringify(content));
  const made = new Answer(ask, response);
  if (ask.rate === 0) return void made.pour();
  paced.add(made);
  if (ticking) return;
  ticking = true;
  setTimeout(tick, TICK_MS);
}

const server = createServer((request: IncomingMessage, response) => {
  let body = '';
  request.setEncoding('utf8');
  request.on('data', (piece: string) => (body += piece));
  request.on('end', () => answer(body, response));
});
server.on('connection', (socket) => socket.setNoDelay(true));
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', 4_096, () => {
  const { port } = server.address() as AddressInfo;
  serve({ reset, stats });
  process.send?.({ ready: `http://127.0.0.1:${port}/v1` });
});
