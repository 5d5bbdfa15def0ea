const STORAGE_KEY = 'mooring.session';
const AGENT_KEY = 'mooring.agent';
const ID_BYTES = 16;
const KEY_BYTES = 32;

/** An id that nobody can guess: of base64url characters, as the contract wants it. */
export function newId(bytes = ID_BYTES) {
  const random = crypto.getRandomValues(new Uint8Array(bytes));
  return btoa(String.fromCharCode(...random))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}

/** Makes a session's id and the key that opens it, and keeps them for the next visit. */
export function newSession() {
  const session = { sessionId: newId(), key: newId(KEY_BYTES) };
  write(STORAGE_KEY, JSON.stringify(session));
  return session;
}

/** The session of the last visit, if there was one. */
export function keptSession() {
  try {
    const { sessionId, key } = JSON.parse(read(STORAGE_KEY) ?? '{}');
    if (typeof sessionId === 'string' && typeof key === 'string') return { sessionId, key };
  } catch {
    // Whatever stood there is of no use.
  }
  return undefined;
}

/** The agent that was chosen last, for the next session. */
export function keptAgent() {
  return read(AGENT_KEY) || undefined;
}

export function keepAgent(agent) {
  write(AGENT_KEY, agent);
}

/** Storage may be forbidden: then a reload begins anew. */
function read(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function write(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // As above.
  }
}
