import { Injectable, SetMetadata, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService, Reflector } from '@nestjs/core';
import { z } from 'zod';
import { plainCopy, wellFormed } from '../sessions/plain-json.js';
import type { ToolSpec } from './model.provider.js';

/** JSON of one output: what a prompt still bears, and a quarter of a packet. */
const OUTPUT_BYTES = 64 * 1024;
/** An error is for the model to read, and no place for a page of HTML. */
const ERROR_LENGTH = 2000;
/** What model vendors accept as a function's name. */
const TOOL_NAME = /^[A-Za-z0-9_-]{1,64}$/;
const TOOL_METADATA = 'mooring:agent-tool';
const reflector = new Reflector();

export interface ToolContext {
  sessionId: string;
  turnId: string;
  toolCallId: string;
  /** Aborted when the turn ends or the call's time is over: what the tool does later is ignored. */
  signal: AbortSignal;
}

/** What a class decorated with {@link AgentTool} implements. */
export interface AgentToolHandler<Input = unknown> {
  /**
   * Called at most once a tool call, with input that the schema accepted.
   * @returns a JSON value of at most 64 KiB; nothing is null
   * @throws anything: its message is what the model is told
   */
  execute(input: Input, context: ToolContext): unknown;
}

export interface ToolOptions<Schema extends z.ZodObject = z.ZodObject> {
  /** `[A-Za-z0-9_-]`, at most 64 characters, unique. */
  name: string;
  /** For the model: what it does, and when to call it. */
  description: string;
  input: Schema;
}

type ToolClass<Input> = new (...args: never[]) => AgentToolHandler<Input>;

/** Makes a provider a tool that agents may name in their front matter. It must be a singleton. */
export function AgentTool<Schema extends z.ZodObject>(options: ToolOptions<Schema>) {
  return (target: ToolClass<z.output<Schema>>): void => {
    SetMetadata(TOOL_METADATA, options)(target);
  };
}

export interface ToolCallRequest {
  name: string;
  /** JSON text as the model wrote it; blank counts as `{}`. */
  input: string;
  /** The tools that the agent may call. */
  allowed: readonly string[];
  context: ToolContext;
  timeoutMs: number;
}

/** A JSON value, or a text for the model. */
export type ToolOutcome = { output: unknown } | { error: string };

interface Tool {
  spec: ToolSpec;
  input: z.ZodObject;
  handler: AgentToolHandler;
}

/** Every tool of the application, found among Nest's providers. */
@Injectable()
export class ToolRegistry implements OnModuleInit {
  #tools: Map<string, Tool> | undefined;

  constructor(private readonly discovery: DiscoveryService) {}

  onModuleInit(): void {
    this.discover();
  }

  /**
   * Finds the tools, the first time that it is called: the catalog needs them, and Nest starts providers of
   * one module in no order to rely on. All are constructed before the first is started.
   * @throws Error that names what is wrong with a tool
   */
  discover(): void {
    if (this.#tools) return;
    const tools = new Map<string, Tool>();
    const seen = new Set<unknown>();
    for (const wrapper of this.discovery.getProviders()) {
      const handler = wrapper.instance as AgentToolHandler | null | undefined;
      const options = toolOptions(wrapper.token) ?? toolOptions(handler?.constructor);
      if (!options) continue;
      if (!handler || wrapper.isTransient || !wrapper.isDependencyTreeStatic())
        throw new Error(`The tool ${options.name} must be a singleton provider.`);
      // An alias is another token for the same instance.
      if (!seen.has(handler)) addTool(tools, options, handler);
      seen.add(handler);
    }
    this.#tools = tools;
  }

  has(name: string): boolean {
    return this.#all().has(name);
  }

  /** Sorted. */
  names(): string[] {
    return [...this.#all().keys()].sort();
  }

  /** What a model is told; a name that is gone since its session was pinned is left out. */
  specs(names: readonly string[]): ToolSpec[] {
    return names.flatMap((name) => this.#all().get(name)?.spec ?? []);
  }

  /** Executes the tool at most once; never rejects. Late results are ignored. */
  async call(request: ToolCallRequest): Promise<ToolOutcome> {
    const { name, allowed, context } = request;
    const tool = allowed.includes(name) ? this.#all().get(name) : undefined;
    if (!tool) return failure(`There is no tool ${JSON.stringify(name.slice(0, 64))}.`);
    if (context.signal.aborted) return failure(`${name} was not called: the turn ended.`);
    try {
      const input = await readInput(tool, request.input);
      return 'error' in input ? input : await execute(tool, input.value, request);
    } catch (error) {
      return failure(messageOf(error));
    }
  }

  #all(): Map<string, Tool> {
    this.discover();
    return this.#tools ?? new Map<string, Tool>();
  }
}

function toolOptions(type: unknown): ToolOptions | undefined {
  return typeof type === 'function' ? reflector.get<ToolOptions | undefined>(TOOL_METADATA, type) : undefined;
}

function addTool(tools: Map<string, Tool>, options: ToolOptions, handler: AgentToolHandler): void {
  const { name, description, input } = options;
  if (!TOOL_NAME.test(name))
    throw new Error(`The tool name ${JSON.stringify(name)} must match ${TOOL_NAME}.`);
  if (tools.has(name)) throw new Error(`Two tools have the name ${name}.`);
  const { $schema: _, ...inputSchema } = z.toJSONSchema(input, { io: 'input' });
  tools.set(name, { spec: { name, description, inputSchema }, input, handler });
}

async function readInput(tool: Tool, text: string): Promise<{ value: unknown } | { error: string }> {
  let json: unknown;
  try {
    json = text.trim() === '' ? {} : JSON.parse(text);
  } catch {
    return failure(`The input of ${tool.spec.name} is not valid JSON.`);
  }
  const result = await tool.input.safeParseAsync(json);
  if (result.success) return { value: result.data };
  const issues = result.error.issues.map(({ path, message }) => `${path.join('.') || 'input'}: ${message}`);
  return failure(`The input of ${tool.spec.name} is not accepted: ${issues.join('; ')}`);
}

async function execute(
  tool: Tool,
  input: unknown,
  { context, timeoutMs }: ToolCallRequest,
): Promise<ToolOutcome> {
  const { name } = tool.spec;
  // The turn may have ended while the input was checked.
  if (context.signal.aborted) return failure(`${name} was not called: the turn ended.`);
  const controller = new AbortController();
  const cut = Promise.withResolvers<ToolOutcome>();
  const stop = (reason: string): void => {
    // Resolved first, so that it wins over what the tool makes of the signal.
    cut.resolve(failure(reason));
    controller.abort(new Error(reason));
  };
  const onAbort = (): void => stop(`${name} was cut short: the turn ended.`);
  const timer = setTimeout(() => stop(`${name} took longer than ${timeoutMs} ms.`), timeoutMs);
  context.signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([cut.promise, settle(tool, input, { ...context, signal: controller.signal })]);
  } finally {
    clearTimeout(timer);
    context.signal.removeEventListener('abort', onAbort);
  }
}

async function settle(tool: Tool, input: unknown, context: ToolContext): Promise<ToolOutcome> {
  try {
    return toOutcome(tool.spec.name, await tool.handler.execute(input, context));
  } catch (error) {
    return failure(messageOf(error));
  }
}

/** A copy: what the tool does to its value later changes nothing. */
function toOutcome(name: string, value: unknown): ToolOutcome {
  let json: string | undefined;
  try {
    json = JSON.stringify(value ?? null);
  } catch {
    // A cycle, a BigInt, or nesting that exhausts the stack.
  }
  if (json === undefined) return failure(`The output of ${name} is not JSON.`);
  const bytes = Buffer.byteLength(json);
  if (bytes > OUTPUT_BYTES)
    return failure(`The output of ${name} is too large: ${bytes} bytes, over ${OUTPUT_BYTES}.`);
  // What is nested too deep cannot be sent either.
  const copy = plainCopy(JSON.parse(json));
  return copy.ok
    ? { output: copy.value }
    : failure(`The output of ${name} is refused: ${copy.issue.message}.`);
}

function failure(error: string): { error: string } {
  return { error: wellFormed(error.slice(0, ERROR_LENGTH)) };
}

function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : typeof error === 'string' ? error : '';
  return message || 'The tool failed.';
}
