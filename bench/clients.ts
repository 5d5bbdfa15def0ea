/**
 * One client for each way in which the contenders speak, as cheap as it can be: eight hundred of them share a
 * process. Socket.IO is spoken in its text frames over a raw WebSocket, which a client library would cost more.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';
import { WebSocket } from 'ws';
import type { EventPacket, OpenedSession, Position } from '../src/protocol.js';

export type Wire = 'ws' | 'socketio' | 'http' | 'mooring';

export interface Client {
  connect(): Promise<void>;
  /** Sends a prompt; resolves at the end of the answer. */
  ask(prompt: string, onText: (text: string) => void): Promise<void>;
  close(): Promise<void>;
}

export function makeClient(wire: Wire, url: string): Client {
  switch (wire) {
    case 'ws':
      return new WsClient(url);
    case 'socketio':
      return new SocketIoClient(url);
    case 'http':
      return new HttpClient(url);
    case 'mooring':
      return new MooringClient(url);
  }
}

interface Running {
  onText: (text: string) => void;
  resolve: () => void;
  reject: (error: Error) => void;
}

abstract class SocketClient implements Client {
  protected socket: WebSocket | undefined;
  protected running: Running | undefined;
  /** Frames that it sent, those that keep the connection alive aside. */
  sent = 0;
  /** Milliseconds from the transport's opening until the last connect was done. */
  handshakeMs = 0;
  #openedAt = 0;
  #connected: { resolve: () => void; reject: (error: Error) => void } | undefined;
  /** Where the next connection goes. */
  url: string;

  constructor(url: string) {
    this.url = url;
  }

  protected abstract path: string;
  protected abstract receive(frame: string): void;
  protected abstract sendAsk(prompt: string): void;

  connect(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#connected = { resolve, reject };
      const socket = new WebSocket(this.url.replace('http', 'ws') + this.path, { perMessageDeflate: false });
      this.socket = socket;
      socket.on('message', (data: Buffer) => this.receive(data.toString()));
      socket.on('error', (error) => this.fail(error));
      socket.on('close', () => this.fail(new Error('the server closed the connection')));
      socket.on('open', () => {
        this.#openedAt = performance.now();
        this.opened();
      });
    });
  }

  ask(prompt: string, onText: (text: string) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.running = { onText, resolve, reject };
      this.sendAsk(prompt);
    });
  }

  /** Resolves at the end of an answer that goes on, or has been ended by somebody else. */
  waitForEnd(onText: (text: string) => void): Promise<void> {
    return new Promise((resolve) => {
      this.running = { onText, resolve, reject: () => resolve() };
    });
  }

  close(): Promise<void> {
    const { socket } = this;
    this.socket = undefined;
    if (!socket || socket.readyState === WebSocket.CLOSED) return Promise.resolve();
    return new Promise((resolve) => {
      socket.removeAllListeners('close');
      socket.once('close', () => resolve());
      socket.close();
    });
  }

  protected send(frame: string): void {
    this.sent += 1;
    this.socket?.send(frame);
  }

  /** The transport stands. */
  protected opened(): void {
    this.ready();
  }

  protected ready(): void {
    this.handshakeMs = performance.now() - this.#openedAt;
    this.#connected?.resolve();
    this.#connected = undefined;
  }

  protected end(): void {
    const { running } = this;
    this.running = undefined;
    running?.resolve();
  }

  protected fail(error: Error): void {
    this.#connected?.reject(error);
    this.running?.reject(error);
    this.#connected = this.running = undefined;
  }
}

class WsClient extends SocketClient {
  protected path = '';

  protected sendAsk(text: string): void {
    this.send(JSON.stringify({ text }));
  }

  protected receive(frame: string): void {
    const { delta, end } = JSON.parse(frame) as { delta?: string; end?: true };
    if (delta !== undefined) this.running?.onText(delta);
    if (end) this.end();
  }
}

class SocketIoClient extends SocketClient {
  protected path = '/socket.io/?EIO=4&transport=websocket';

  protected sendAsk(text: string): void {
    this.emit('ask', { text });
  }

  protected emit(event: string, payload: unknown): void {
    this.send(`42${JSON.stringify([event, payload])}`);
  }

  protected override opened(): void {
    this.send(`40${this.auth()}`);
  }

  protected auth(): string {
    return '';
  }

  protected receive(frame: string): void {
    if (frame === '2') this.socket?.send('3');
    else if (frame.startsWith('42')) this.event(...(JSON.parse(frame.slice(2)) as [string, unknown]));
    else if (frame.startsWith('40')) this.joined();
    else if (frame.startsWith('44')) this.fail(new Error(`refused: ${frame}`));
  }

  protected joined(): void {
    this.ready();
  }

  protected event(name: string, payload: unknown): void {
    if (name === 'delta') this.running?.onText(payload as string);
    else if (name === 'end') this.end();
  }
}

/** Keeps its position, checks that events are contiguous, and may come back. */
export class MooringClient extends SocketIoClient {
  sessionId = randomBytes(16).toString('hex');
  key = randomBytes(32).toString('hex');
  position: Position | undefined;
  /** Of the last open. */
  lastOpened: OpenedSession | undefined;

  protected override auth(): string {
    const { sessionId, key, position } = this;
    return JSON.stringify({ session: { sessionId, key, create: true, position } });
  }

  protected override sendAsk(text: string): void {
    this.emit('message:send', { sessionId: this.sessionId, messageId: randomUUID(), text });
  }

  // The session is what a client waits for, not the namespace.
  protected override joined(): void {}

  protected override event(name: string, payload: unknown): void {
    if (name === 'session:events') {
      const { epoch, from, to, events } = payload as EventPacket;
      if (epoch !== this.position?.epoch || from !== this.position.seq)
        return this.fail(new Error(`a gap: events from ${from} at ${this.position?.seq}`));
      this.position = { epoch, seq: to };
      this.apply(events);
    } else if (name === 'session:opened') {
      this.lastOpened = payload as OpenedSession;
      this.position = this.lastOpened.position;
      this.apply(this.lastOpened.events);
      this.ready();
    } else if (name === 'session:failed' || name === 'request:failed') {
      this.fail(new Error(JSON.stringify(payload)));
    }
  }

  protected apply(events: EventPacket['events']): void {
    for (const event of events) {
      if (event.type === 'chunk' && event.chunk.type === 'text-delta')
        this.running?.onText(event.chunk.delta);
      if (event.type !== 'turn') continue;
      if (event.state === 'completed') this.end();
      else if (event.state === 'failed' || event.state === 'interrupted' || event.state === 'cancelled')
        this.fail(new Error(JSON.stringify(event)));
    }
  }
}

const agent = new Agent({ keepAlive: true, maxSockets: Infinity });

class HttpClient implements Client {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async connect(): Promise<void> {}

  ask(prompt: string, onText: (text: string) => void): Promise<void> {
    const message = { id: randomUUID(), role: 'user', parts: [{ type: 'text', text: prompt }] };
    return new Promise((resolve, reject) => {
      const post = request(this.#url, { method: 'POST', agent }, (response) => {
        let rest = '';
        response.setEncoding('utf8');
        response.on('error', reject);
        response.on('end', resolve);
        response.on('data', (piece: string) => {
          const events = (rest + piece).split('\n\n');
          rest = events.pop() ?? '';
          for (const event of events) {
            if (!event.startsWith('data: {')) continue;
            const chunk = JSON.parse(event.slice(6)) as { type: string; delta?: string };
            if (chunk.type === 'text-delta') onText(chunk.delta ?? '');
            else if (chunk.type === 'error') reject(new Error(event));
          }
        });
      });
      post.on('error', reject);
      post.end(JSON.stringify({ messages: [message] }));
    });
  }

  async close(): Promise<void> {}
}
