import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { now, type CallLedger } from './ledgers.ts';
import { MODEL_FAULTS, type ModelFault, type Plan } from './plan.ts';
import { Random } from './random.ts';
import { readMark, tokenMark, words } from './words.ts';

interface PromptMessage {
  role: string;
  content?: unknown;
}

/** How one request is answered: drawn from the seed and the request's number, whenever it comes. */
interface Script {
  tokens: string[];
  paceMs: number;
  fault?: ModelFault;
  /** The token before which the fault strikes. */
  faultAt: number;
  toolCall: boolean;
  finish: 'stop' | 'length';
  random: Random;
}

/** Faults that strike before any content came are repeated by the gateway. */
const REPEATABLE: ReadonlySet<ModelFault> = new Set(['refuse-429', 'refuse-500']);

/**
 * An OpenAI-compatible model whose every token says to which answer it belongs, and which writes down what it was
 * asked and what it sent. Its bytes leave in pieces that know no character's borders.
 */
export class ModelServer {
  readonly calls: CallLedger[] = [];
  tokens = 0;
  faults = 0;
  /** From now on everything is answered, soon and well. */
  calm = false;
  readonly #server: Server;
  readonly #open = new Set<ServerResponse>();
  readonly #perMessage = new Map<string, CallLedger[]>();

  private readonly plan: Plan;

  private constructor(plan: Plan) {
    this.plan = plan;
    this.#server = createServer((request, response) => void this.#serve(request, response));
    // Idle connections are the gateway's to keep; none must look like a leak.
    this.#server.keepAliveTimeout = 1_000;
  }

  static async listen(plan: Plan): Promise<ModelServer> {
    const model = new ModelServer(plan);
    await new Promise<void>((resolve) => model.#server.listen(0, '127.0.0.1', resolve));
    return model;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }

  /** Requests that are being answered. */
  get openCalls(): number {
    return this.#open.size;
  }

  closeIdle(): void {
    this.#server.closeIdleConnections();
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#open.add(response);
    response.once('close', () => this.#open.delete(response));
    // A gateway that was killed.
    response.on('error', () => undefined);
    const pieces: Buffer[] = [];
    try {
      for await (const piece of request) pieces.push(piece as Buffer);
    } catch {
      return;
    }
    const { messages } = JSON.parse(Buffer.concat(pieces).toString()) as { messages: PromptMessage[] };
    const call = this.#enter(messages);
    response.once('close', () => {
      call.endedAt ??= now();
      call.abandoned = call.finished === undefined && call.fault === undefined;
    });
    const script = this.#script(call);
    call.fault = script.fault;
    if (script.fault) this.faults += 1;
    await this.#answer(call, script, response);
  }

  #enter(prompt: PromptMessage[]): CallLedger {
    const asked = textOf(prompt.findLast(({ role }) => role === 'user'));
    const mark = readMark(asked) ?? { session: -1, message: -1 };
    const name = `${mark.session}.${mark.message}`;
    const earlier = this.#perMessage.get(name) ?? [];
    const lastUser = prompt.findLastIndex(({ role }) => role === 'user');
    const step = prompt.slice(lastUser).filter(({ role }) => role === 'assistant').length;
    const call: CallLedger = { ...mark, call: earlier.length + 1, step, at: now(), prompt, sent: [] };
    if (mark.session < 0) call.stray = asked.slice(0, 200);
    this.#perMessage.set(name, [...earlier, call]);
    this.calls.push(call);
    return call;
  }

  #script({ session, message, call, step }: CallLedger): Script {
    const { seed, scenario, model } = this.plan;
    const random = Random.of(seed, scenario, 'answer', session, message, call);
    const count = this.calm ? Math.min(5, model.tokens[0]) : random.int(...model.tokens);
    const tokens = Array.from({ length: count }, (_, token) => {
      const text = `${tokenMark(session, message, call, token)}${words(random, random.int(1, 3))} `;
      return model.tokenLength > text.length ? text.padEnd(model.tokenLength, `${token} ~ `) : text;
    });
    const paceMs = random.int(...model.paceMs);
    const toolCall = step === 0 && random.chance(model.toolRate);
    const finish = random.chance(0.1) ? 'length' : 'stop';
    const fault = random.chance(model.faultRate) && !this.calm ? random.pick(MODEL_FAULTS) : undefined;
    const faultAt = fault === 'hang' ? 0 : random.int(0, Math.max(0, count - 1));
    return { tokens, paceMs: this.calm ? 0 : paceMs, toolCall, finish, fault, faultAt, random };
  }

  async #answer(call: CallLedger, script: Script, response: ServerResponse): Promise<void> {
    const { fault, random } = script;
    if (fault && REPEATABLE.has(fault)) return refuse(call, fault === 'refuse-429' ? 429 : 500, response);
    // One that says nothing at all, not even that it begins.
    if (fault === 'hang' && random.chance(0.5)) return;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.flushHeaders();
    for (const [index, token] of script.tokens.entries()) {
      if (fault && index === script.faultAt) return this.#fail(call, fault, response, token);
      if (response.destroyed) return;
      const bytes = Buffer.from(event({ content: token }));
      // Pieces of one event join again; where they part, a character may be cut in two.
      const border = random.int(1, bytes.length - 1);
      const split = random.chance(0.2);
      // Written down first: what has left cannot be seen before it is in the ledger.
      call.sent.push({ at: now(), text: token });
      this.tokens += 1;
      response.write(split ? bytes.subarray(0, border) : bytes);
      if (split) {
        await sleep(random.int(0, 3));
        if (response.destroyed) return;
        response.write(bytes.subarray(border));
      }
      if (script.paceMs > 0) await sleep(script.paceMs);
      else if (index % 50 === 0) await sleep(0);
    }
    if (fault) return this.#fail(call, fault, response, '');
    if (response.destroyed) return;
    this.#finish(call, script, response);
  }

  #finish(call: CallLedger, { toolCall, finish }: Script, response: ServerResponse): void {
    const reason = toolCall ? 'tool_calls' : finish;
    if (toolCall) {
      const id = `call-${call.session}-${call.message}-${call.call}`;
      const calls = [
        {
          index: 0,
          id,
          type: 'function',
          function: { name: 'current_time', arguments: '{"timezone":"UTC"}' },
        },
      ];
      response.write(event({ tool_calls: calls }));
    }
    call.finished = reason;
    call.endedAt = now();
    response.write(event({}, reason));
    response.end('data: [DONE]\n\n');
  }

  #fail(call: CallLedger, fault: ModelFault, response: ServerResponse, token: string): void {
    const hasContent = call.sent.length > 0;
    const { socket } = response;
    switch (fault) {
      case 'hang':
      case 'stall':
        // Until the gateway has had enough.
        return;
      case 'reset':
        call.repeatable = !hasContent;
        call.endedAt = now();
        socket?.resetAndDestroy();
        return;
      case 'reset-in-character': {
        call.repeatable = !hasContent;
        call.endedAt = now();
        const bytes = Buffer.from(event({ content: `${token}⟩` }));
        // Right after the first byte of the last character of more than one.
        const inside = bytes.lastIndexOf(Buffer.from('⟩')) + 1;
        response.write(bytes.subarray(0, inside), () => socket?.resetAndDestroy());
        return;
      }
      case 'garble':
        call.endedAt = now();
        response.end('data: {"choices":[{"index":0,"delta":{"content":"⟨\n\ndata: [DONE]\n\n');
        return;
      case 'no-finish':
        call.endedAt = now();
        response.end('data: [DONE]\n\n');
        return;
      case 'end-early':
        call.endedAt = now();
        response.end();
        return;
      case 'refuse-429':
      case 'refuse-500':
        return;
    }
  }
}

function refuse(call: CallLedger, status: number, response: ServerResponse): void {
  call.repeatable = true;
  call.endedAt = now();
  response.writeHead(status, {
    'content-type': 'application/json',
    ...(status === 429 && { 'retry-after': '0' }),
  });
  response.end(JSON.stringify({ error: { message: `refused with ${status}` } }));
}

function event(delta: object, finish?: string): string {
  return `data: ${JSON.stringify({ choices: [{ index: 0, delta, ...(finish && { finish_reason: finish }) }] })}\n\n`;
}

function textOf(message: PromptMessage | undefined): string {
  const content = message?.content;
  if (typeof content === 'string') return content;
  return Array.isArray(content)
    ? (content as { text?: string }[]).map(({ text }) => text ?? '').join('')
    : '';
}
