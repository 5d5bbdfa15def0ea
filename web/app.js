import { RequestError, SessionLink } from './connection.js';
import { applyEvents, applyOpened, EMPTY_CONVERSATION, runningTurn, withHistory } from './conversation.js';
import { keepAgent, keptAgent, keptSession, newId, newSession } from './credentials.js';
import { Outbox } from './outbox.js';
import { PageView } from './view.js';
import { wordsOf } from './words.js';

const HISTORY_PAGE = 30;
const NOTICE_MS = 8_000;

/** @type {import('./view.js').PageState} */
let state = { link: 'connecting', conversation: EMPTY_CONVERSATION, outbox: [], agents: [] };
let drawing = 0;
let noticeTimer = 0;
const kept = keptSession();
/** Whether the session was never opened before: then "not found" means that the server refuses to make it. */
let untried = !kept;

const link = new SessionLink(kept ?? { ...newSession(), agent: keptAgent() }, {
  onState: (present) => update({ link: present }),
  onOpened,
  onEvents: (events) => {
    update({ conversation: applyEvents(state.conversation, events) });
    outbox.settle();
  },
  onFailed,
});
const outbox = new Outbox(link, {
  isShown: (messageId) => state.conversation.messages.some(({ id }) => id === messageId),
  onChange: (items) => update({ outbox: items }),
});
const view = new PageView({
  send: (text) => {
    dropNotice();
    outbox.add(text);
  },
  stop,
  cut: () => link.cut(),
  startNew,
  loadOlder,
  chooseAgent,
  act,
});
view.show(state);

// ---- What the connection tells ---------------------------------------------------------------------------

function onOpened(opened, returned) {
  const agents = state.agents.length > 0 ? state.agents : [opened.agent];
  update({ conversation: applyOpened(state.conversation, opened), agents });
  if (returned) {
    notice(opened.recovered ? 'Connected again. Nothing was lost.' : 'Connected again, and loaded anew.');
  }
  untried = false;
  outbox.settle({ all: !opened.recovered });
  outbox.flush();
  // A stop that got no answer is asked for again, unless it is another turn's time by now.
  if (state.stopping === runningTurn(state.conversation)?.turnId) void stop();
  void loadAgents();
}

function onFailed(error) {
  if (error.code === 'session_not_found' && !untried) {
    openNew();
    notice('The earlier conversation is not there any more, so this is a new one.');
  } else if (error.code === 'agent_not_found') {
    keepAgent('');
    openNew();
  } else {
    notice(wordsOf(error), 'error');
  }
}

// ---- What a person asks for -------------------------------------------------------------------------------

function startNew() {
  const { conversation, outbox: items } = state;
  if (conversation.messages.length === 0 && items.length === 0 && !conversation.ended) return;
  outbox.clear();
  dropNotice();
  openNew({ agent: conversation.agent });
}

function openNew({ agent } = {}) {
  untried = true;
  update({ conversation: { ...EMPTY_CONVERSATION, agent }, stopping: undefined });
  link.switchTo({ ...newSession(), agent });
}

async function stop() {
  const turn = runningTurn(state.conversation);
  if (!turn) return;
  update({ stopping: turn.turnId });
  try {
    await ask('turn:cancel', { turnId: turn.turnId });
  } catch (error) {
    // Where no answer came, the stop is asked for again as the connection returns.
    if (error.code === 'lost') return;
    update({ stopping: undefined });
    if (error.code !== 'turn_not_found') notice(wordsOf(error), 'error');
  }
}

/** @param {import('./message.js').Entry} entry */
async function act({ id, action }) {
  if (action === 'again') return outbox.again(id);
  const waiting = state.conversation.turns.find(({ messageId }) => messageId === id);
  try {
    if (action === 'retry') await ask('turn:retry', { retryId: newId() });
    else if (waiting) await ask('turn:cancel', { turnId: waiting.turnId });
  } catch (error) {
    notice(wordsOf(error), 'error');
  }
}

async function loadOlder() {
  const before = state.conversation.messages[0]?.id;
  update({ loading: true });
  try {
    const page = await ask('session:history', { before, limit: HISTORY_PAGE });
    update({ conversation: withHistory(state.conversation, before, page) });
  } catch (error) {
    notice(wordsOf(error), 'error');
  } finally {
    update({ loading: false });
  }
}

async function chooseAgent(agent) {
  update({ chosenAgent: agent });
  try {
    await ask('agent:switch', { agent });
    keepAgent(agent);
    update({ conversation: { ...state.conversation, agent } });
  } catch (error) {
    notice(wordsOf(error), 'error');
  } finally {
    update({ chosenAgent: undefined });
  }
}

async function loadAgents() {
  try {
    const { agents } = await link.request('agent:list', {});
    update({ agents });
  } catch (error) {
    if (error.code !== 'lost') notice(wordsOf(error), 'error');
  }
}

/** A request about the present session. An answer that comes after it was left is of no use. */
async function ask(name, payload) {
  const { sessionId } = link;
  const data = await link.request(name, { sessionId, ...payload });
  if (sessionId !== link.sessionId)
    throw new RequestError({ code: 'left', message: 'That was about the earlier conversation.' });
  return data;
}

// ---- State ------------------------------------------------------------------------------------------------

/** Changes the state now, and what is seen with the next frame: many words are drawn at once. */
function update(change) {
  state = { ...state, ...change };
  drawing ||= requestAnimationFrame(() => {
    drawing = 0;
    view.show(state);
  });
}

function notice(text, kind = 'info') {
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(dropNotice, NOTICE_MS);
  update({ notice: { text, kind } });
}

function dropNotice() {
  clearTimeout(noticeTimer);
  update({ notice: undefined });
}
