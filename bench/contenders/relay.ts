/** What both raw relays do: one request to the model, one call for each token. */
import { createParser } from 'eventsource-parser';

const UPSTREAM = process.env['UPSTREAM_URL'] ?? '';

interface Chunk {
  choices: { delta?: { content?: string } }[];
}

/** Resolves when the answer is whole. */
export async function relay(
  text: string,
  onToken: (token: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const response = await fetch(`${UPSTREAM}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'bench', stream: true, messages: [{ role: 'user', content: text }] }),
    signal,
  });
  if (!response.ok || !response.body) throw new Error(`the upstream answered ${response.status}`);
  const parser = createParser({
    onEvent: ({ data }) => {
      if (data === '[DONE]') return;
      const content = (JSON.parse(data) as Chunk).choices[0]?.delta?.content;
      if (content) onToken(content);
    },
  });
  const decoder = new TextDecoder();
  const body: AsyncIterable<Uint8Array> = response.body;
  for await (const bytes of body) parser.feed(decoder.decode(bytes, { stream: true }));
}

export function ready(server: { address(): unknown }): void {
  const { port } = server.address() as { port: number };
  process.send?.({ ready: `http://127.0.0.1:${port}` });
}

/** A client that left is no fault of the relay's. */
export function report(error: unknown, signal: AbortSignal): void {
  if (!signal.aborted) console.error(error);
}
