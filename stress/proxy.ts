import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Cut } from './plan.ts';

const HOST = '127.0.0.1';

/** One TCP connection of a client, and the one to the gateway behind it. */
interface Line {
  client: Socket;
  gateway: Socket;
  /** Nothing is forwarded any more, the ends of the connections neither. */
  dead: boolean;
}

/**
 * A TCP proxy between one client and the gateway, or between a gateway and Redis, which breaks their connections as
 * networks do. It knows nothing of what they carry.
 */
export class Proxy {
  readonly #server: Server;
  readonly #lines = new Set<Line>();
  /** Both ends of every connection that was left hanging, so that they can be let go in the end. */
  readonly #hanging = new Set<Socket>();
  /** Clients' ends that do not know yet that they lead nowhere. */
  readonly #unaware = new Set<Socket>();
  readonly #timers = new Set<NodeJS.Timeout>();
  /** Connections that came while nothing got through. */
  readonly #waiting = new Set<Socket>();
  #walled = false;
  /** Half of the next piece is let through, then both sides are reset. */
  #cutNextPiece = false;

  private readonly target: () => number;

  private constructor(target: () => number) {
    this.target = target;
    this.#server = createServer((client) => this.#join(client));
  }

  /** @param target the gateway's port, asked anew for each connection */
  static async listen(target: () => number): Promise<Proxy> {
    const proxy = new Proxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, HOST, resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://${HOST}:${this.port}`;
  }

  /** Breaks what is connected now; `forMs` is how long it lasts, or until somebody notices. */
  cut(how: Cut, forMs: number): void {
    if (how === 'mid-frame') {
      this.#cutNextPiece = true;
      return;
    }
    for (const line of [...this.#lines]) this.#cut(line, how, forMs);
  }

  /** Nothing gets through either way, on new connections neither, until {@link unwall}. */
  wall(): void {
    this.#walled = true;
    for (const { client, gateway } of this.#lines) {
      client.pause();
      gateway.pause();
    }
  }

  /** @param then what was under way comes late, or is lost with its connection */
  unwall(then: 'late' | 'lost'): void {
    this.#walled = false;
    for (const line of [...this.#lines]) {
      if (then === 'lost') this.#reset(line);
      line.client.resume();
      line.gateway.resume();
    }
    for (const client of this.#waiting) client.resetAndDestroy();
    this.#waiting.clear();
  }

  /** Takes away the stalls and cuts that are not yet over, and forgets connections that nobody has closed. */
  heal(letGo: boolean): void {
    this.#cutNextPiece = false;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    for (const line of this.#lines) {
      line.gateway.resume();
      line.client.resume();
    }
    // The gateway's side of such a connection may be gone already.
    for (const client of this.#unaware) client.destroy();
    if (letGo) for (const socket of this.#hanging) socket.destroy();
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const { client, gateway } of this.#lines) {
      client.destroy();
      gateway.destroy();
    }
    for (const socket of [...this.#hanging, ...this.#waiting]) socket.destroy();
    await closed;
  }

  #join(client: Socket): void {
    if (this.#walled) {
      this.#waiting.add(client.on('error', () => undefined).pause());
      return;
    }
    const gateway = connect(this.target(), HOST);
    const line: Line = { client, gateway, dead: false };
    this.#lines.add(line);
    client.setNoDelay(true);
    gateway.setNoDelay(true);
    gateway.on('data', (piece: Buffer) => this.#down(line, piece));
    client.on('data', (piece: Buffer) => {
      if (!line.dead && !gateway.write(piece)) client.pause();
    });
    gateway.on('drain', () => client.resume());
    client.on('drain', () => gateway.resume());
    for (const [one, other] of [
      [client, gateway],
      [gateway, client],
    ] as const) {
      one.on('error', () => undefined);
      one.on('end', () => !line.dead && other.end());
      one.on('close', () => {
        this.#hanging.delete(one);
        this.#unaware.delete(one);
        this.#lines.delete(line);
        if (!line.dead) other.destroy();
      });
    }
  }

  #down(line: Line, piece: Buffer): void {
    if (line.dead) return;
    if (this.#cutNextPiece) {
      this.#cutNextPiece = false;
      // The half is written before the reset, so that the client has it in its buffers.
      line.client.write(piece.subarray(0, Math.ceil(piece.length / 2)), () => this.#reset(line));
      line.dead = true;
      return;
    }
    if (!line.client.write(piece)) line.gateway.pause();
  }

  #cut(line: Line, how: Exclude<Cut, 'mid-frame'>, forMs: number): void {
    const { client, gateway } = line;
    switch (how) {
      case 'reset':
        return this.#reset(line);
      case 'fin':
        client.end();
        gateway.end();
        return;
      case 'vanish':
        this.#hang(line, gateway);
        client.resetAndDestroy();
        return;
      case 'half-open':
        this.#hang(line, gateway, client);
        return this.#later(forMs, () => client.resetAndDestroy());
      case 'deaf':
        this.#hang(line, client);
        gateway.resetAndDestroy();
        return this.#later(forMs, () => client.resetAndDestroy());
      case 'stall':
        client.pause();
        gateway.pause();
        return this.#later(forMs, () => {
          client.resume();
          gateway.resume();
        });
      case 'slow':
        gateway.pause();
        return this.#later(forMs, () => gateway.resume());
    }
  }

  #reset(line: Line): void {
    line.dead = true;
    line.client.resetAndDestroy();
    line.gateway.resetAndDestroy();
  }

  #hang(line: Line, ...sockets: Socket[]): void {
    line.dead = true;
    for (const socket of sockets) {
      socket.pause();
      this.#hanging.add(socket);
      if (socket === line.client) this.#unaware.add(socket);
    }
  }

  #later(ms: number, then: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      then();
    }, ms);
    this.#timers.add(timer);
  }
}
