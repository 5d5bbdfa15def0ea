import { runningTurn, waitingTurns } from './conversation.js';
import { entriesOf } from './entries.js';
import { element, MessageView } from './message.js';
import { wordsOfEnd } from './words.js';

/**
 * @typedef {object} PageState
 * @property {import('./connection.js').LinkState} link
 * @property {import('./conversation.js').Conversation} conversation
 * @property {import('./outbox.js').Outgoing[]} outbox
 * @property {import('../src/protocol.js').AgentSummary[]} agents
 * @property {string} [chosenAgent] a switch that is underway
 * @property {string} [stopping] the turn that is asked to stop
 * @property {boolean} [loading] older messages are underway
 * @property {{text: string, kind: 'info' | 'error'}} [notice]
 *
 * @typedef {object} Actions what a person can ask for
 * @property {(text: string) => void} send
 * @property {() => void} stop
 * @property {() => void} cut
 * @property {() => void} startNew
 * @property {() => void} loadOlder
 * @property {(agent: string) => void} chooseAgent
 * @property {(entry: import('./message.js').Entry) => void} act the action that a message offers
 */

/** Closer than this to its end, in pixels, the list follows what is written. */
const AT_END_PX = 48;

const $ = (id) => document.getElementById(id);

export class PageView {
  /** @type {Map<string, MessageView>} */
  #messages = new Map();
  #following = true;
  #agents;
  #actions;
  /** @type {PageState | undefined} */
  #state;

  /** @param {Actions} actions */
  constructor(actions) {
    this.#actions = actions;
    $('cut').addEventListener('click', actions.cut);
    $('stop').addEventListener('click', ({ detail }) => {
      actions.stop();
      // It goes away: whoever pressed it by keyboard (which counts no clicks) goes on to write.
      if (detail === 0) $('composer').focus();
    });
    $('older').addEventListener('click', actions.loadOlder);
    $('latest').addEventListener('click', () => this.follow());
    $('new').addEventListener('click', () => {
      actions.startNew();
      $('composer').focus();
    });
    $('agent').addEventListener('change', (event) => actions.chooseAgent(event.target.value));
    $('form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    $('composer').addEventListener('keydown', (event) => {
      // The Enter that picks a word of an input method is not meant for us.
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#submit();
    });
    $('composer').addEventListener('input', () => this.#showComposer());
    $('suggestions').addEventListener('click', ({ target }) => {
      if (target instanceof HTMLButtonElement) this.#send(target.textContent);
    });
    $('scroller').addEventListener('scroll', () => this.#noticeScroll(), { passive: true });
    addEventListener('resize', () => this.#following && this.follow());
  }

  /** Goes to the end of the list, and stays there while it grows. */
  follow() {
    this.#following = true;
    const scroller = $('scroller');
    scroller.scrollTop = scroller.scrollHeight;
    $('latest').hidden = true;
  }

  /** @param {PageState} state */
  show(state) {
    const before = this.#state;
    this.#state = state;
    this.#showMessages(before);
    this.#showComposer();
    this.#showHeader();
    this.#showNotice();
    if (before) announce(before, state);
  }

  #submit() {
    const composer = $('composer');
    const text = composer.value.trim();
    if (text === '' || composer.disabled) return;
    composer.value = '';
    this.#send(text);
  }

  #send(text) {
    this.#following = true;
    this.#actions.send(text);
    $('composer').focus();
  }

  #showMessages(before) {
    const { conversation, outbox, agents, loading = false } = this.#state;
    const scroller = $('scroller');
    const list = $('messages');
    const height = scroller.scrollHeight;
    const isPage = before !== undefined && isOlderPage(before.conversation, conversation);

    const entries = entriesOf(conversation, outbox, agents);
    const ids = new Set(entries.map(({ id }) => id));
    for (const [id, view] of this.#messages) {
      if (ids.has(id)) continue;
      view.root.remove();
      this.#messages.delete(id);
    }
    entries.forEach((entry, index) => {
      const view = this.#messages.get(entry.id) ?? this.#newMessage(entry.id);
      view.show(entry);
      if (list.children[index] !== view.root) list.insertBefore(view.root, list.children[index] ?? null);
    });

    $('empty').hidden = entries.length > 0;
    $('older').hidden = !conversation.hasMore;
    $('older').disabled = loading;
    if (isPage) scroller.scrollTop += scroller.scrollHeight - height;
    else if (this.#following) this.follow();
    else this.#noticeScroll();
  }

  #newMessage(id) {
    const view = new MessageView((entry) => this.#actions.act(entry));
    this.#messages.set(id, view);
    return view;
  }

  #showHeader() {
    const { link, agents, conversation, chosenAgent } = this.#state;
    document.body.dataset.link = link;
    $('connection').dataset.state = link;
    setText($('connection'), link);
    $('cut').disabled = link !== 'connected';
    const select = $('agent');
    if (agents !== this.#agents) {
      this.#agents = agents;
      select.replaceChildren(
        ...agents.map(({ id, name, description }) =>
          element('option', { value: id, title: description }, name),
        ),
      );
    }
    select.disabled = agents.length === 0;
    select.value = chosenAgent ?? conversation.agent ?? '';
  }

  #showComposer() {
    const { conversation, agents, stopping } = this.#state;
    const composer = $('composer');
    const running = runningTurn(conversation);
    const waiting = waitingTurns(conversation).length;
    const agent = agents.find(({ id }) => id === conversation.agent);
    composer.disabled = conversation.ended !== undefined;
    if (!CSS.supports('field-sizing', 'content')) fitToContent(composer);
    composer.placeholder = agent ? `Write to ${agent.name}` : 'Write a message';
    $('send').disabled = composer.disabled || composer.value.trim() === '';
    $('stop').hidden = !running;
    $('stop').disabled = running !== undefined && stopping === running.turnId;
    $('queue').hidden = !running || waiting === 0;
    setText($('queue'), waiting === 1 ? '1 message waits its turn' : `${waiting} messages wait their turn`);
  }

  #showNotice() {
    const { notice, conversation } = this.#state;
    const text = conversation.ended ? `${wordsOfEnd(conversation.ended)} Start a new one.` : notice?.text;
    $('notice').hidden = text === undefined;
    $('notice').dataset.kind = notice?.kind ?? 'info';
    setText($('notice-text'), text ?? '');
  }

  #noticeScroll() {
    const { scrollHeight, scrollTop, clientHeight } = $('scroller');
    this.#following = scrollHeight - scrollTop - clientHeight < AT_END_PX;
    $('latest').hidden = this.#following;
  }
}

/** Whether older messages came. */
function isOlderPage({ messages: before }, { messages: after }) {
  const [first, last] = [before[0], before.at(-1)];
  return first !== undefined && first.id !== after[0]?.id && last.id === after.at(-1)?.id;
}

/** Tells those who do not see the page what happened, but not each word. */
function announce(before, after) {
  const was = runningTurn(before.conversation);
  const is = runningTurn(after.conversation);
  if (before.link !== after.link && after.link !== 'connecting') say(`Connection: ${after.link}.`);
  else if (!was && is) say('The answer begins.');
  else if (was && was.turnId !== is?.turnId) say(lastAnswer(after.conversation));
}

function lastAnswer({ messages }) {
  const last = messages.findLast(({ role }) => role === 'assistant');
  const text = last?.parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
  return `The answer is there. ${text ?? ''}`;
}

function say(text) {
  const announcer = $('announcer');
  announcer.textContent = text;
  // Said once: whoever reads or searches the page does not find the answer twice.
  setTimeout(() => {
    if (announcer.textContent === text) announcer.textContent = '';
  }, 1_000);
}

function fitToContent(area) {
  area.style.height = 'auto';
  area.style.height = `${area.scrollHeight}px`;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
