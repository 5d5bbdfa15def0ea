import { newId } from './credentials.js';
import { wordsOf } from './words.js';

/**
 * @typedef {object} Outgoing a message that the log does not show yet
 * @property {string} messageId
 * @property {string} text
 * @property {'sending' | 'accepted' | 'failed'} state
 * @property {string} [error] why it failed, in words
 */

/** How long after a request without an answer it is sent again, where the connection still stands. */
const AGAIN_MS = 1_000;

/**
 * Messages on their way. One without an acknowledgement is sent again, by the same id, until there is one:
 * the server knows it by that id, so nothing runs twice.
 */
export class Outbox {
  #link;
  #isShown;
  #onChange;
  /** @type {Outgoing[]} */
  #items = [];
  #underway = new Set();

  /**
   * @param {import('./connection.js').SessionLink} link
   * @param {object} page
   * @param {(messageId: string) => boolean} page.isShown whether the conversation has the message by now
   * @param {(items: Outgoing[]) => void} page.onChange
   */
  constructor(link, { isShown, onChange }) {
    this.#link = link;
    this.#isShown = isShown;
    this.#onChange = onChange;
  }

  add(text) {
    this.#set([...this.#items, { messageId: newId(), text, state: 'sending' }]);
    this.flush();
  }

  /** Sends what failed once more. */
  again(messageId) {
    this.#change(messageId, { state: 'sending', error: undefined });
    this.flush();
  }

  /** Sends, in order, all that has no acknowledgement yet. Called whenever the session is bound anew. */
  flush() {
    if (!this.#link.bound) return;
    for (const item of this.#items) {
      if (item.state === 'sending' && !this.#underway.has(item.messageId)) this.#send(item);
    }
  }

  /** Forgets what was accepted and is shown; with a snapshot, whose older messages are not, all of it. */
  settle({ all = false } = {}) {
    const isDone = ({ state, messageId }) => state === 'accepted' && (all || this.#isShown(messageId));
    if (this.#items.some(isDone)) this.#set(this.#items.filter((item) => !isDone(item)));
  }

  clear() {
    this.#set([]);
  }

  async #send({ messageId, text }) {
    const { sessionId } = this.#link;
    this.#underway.add(messageId);
    try {
      await this.#link.request('message:send', { sessionId, messageId, text });
      this.#change(messageId, { state: 'accepted' });
      this.settle();
    } catch (error) {
      const pause = error.code === 'lost' ? AGAIN_MS : error.retryAfterMs;
      if (pause !== undefined) setTimeout(() => this.flush(), pause);
      // It waits for the session to be bound again, or for the one that takes its place.
      else if (error.code === 'session_not_found') this.#link.reopen();
      else this.#change(messageId, { state: 'failed', error: wordsOf(error) });
    } finally {
      this.#underway.delete(messageId);
    }
  }

  #change(messageId, values) {
    this.#set(this.#items.map((item) => (item.messageId === messageId ? { ...item, ...values } : item)));
  }

  #set(items) {
    this.#items = items;
    this.#onChange(items);
  }
}
