/**
 * An agent in the version that a session was pinned to: a session keeps it whatever becomes of the file.
 */
export interface PinnedAgent {
  /** The file's name without its ending, in lower case. */
  id: string;
  /** SHA-256 of the file's content, hex. */
  hash: string;
  name: string;
  description: string;
  /** Overrides the configured model. */
  model?: string;
  temperature?: number;
  /** Names of the tools that it may call. */
  tools: string[];
  /** The prompt that is put first on every call of the model. */
  persona: string;
}
