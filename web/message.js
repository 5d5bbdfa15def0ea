/**
 * One message as an element that is changed in place, so that a reader's selection survives the stream.
 *
 * @typedef {import('../src/protocol.js').UIMessage} UIMessage
 *
 * @typedef {object} Entry what the list shows as one message
 * @property {string} id
 * @property {'user' | 'assistant'} role
 * @property {string} status of a user's: sending, failed, queued, sent; of an answer: streaming or a turn's end
 * @property {UIMessage['parts']} parts
 * @property {string} [author]
 * @property {string} [note] what is to be said about it
 * @property {'again' | 'retry' | 'withdraw'} [action] what can be done about it
 */

const PLACEHOLDER_TEXT = '[Assistant response unavailable due to connection interruption]';

const ACTIONS = { again: 'Send again', retry: 'Try again', withdraw: 'Withdraw' };

/**
 * Makes an element with attributes, and children that are elements or text. Text is never read as HTML.
 * @param {string} name
 * @param {Record<string, string>} [attributes]
 * @param {(Node | string)[]} children
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export class MessageView {
  #author = element('p', { class: 'author' });
  #body = element('div', { class: 'body' });
  #note = element('span');
  #action = element('button', { type: 'button', class: 'link' });
  #footer = element('p', { class: 'note' }, this.#note, this.#action);
  /** @type {{type: string, show: (part: object) => void, root: HTMLElement}[]} */
  #parts = [];
  /** @type {Entry | undefined} */
  #entry;

  /** @param {(entry: Entry) => void} onAction */
  constructor(onAction) {
    this.root = element('li', { 'data-testid': 'message' }, this.#author, this.#body, this.#footer);
    this.#action.addEventListener('click', () => onAction(this.#entry));
  }

  /** @param {Entry} entry */
  show(entry) {
    const { id, role, status, parts, author = '', note = '', action } = entry;
    if (parts !== this.#entry?.parts) this.#showParts(parts);
    this.#entry = entry;
    Object.assign(this.root.dataset, { id, role, status });
    setText(this.#author, author);
    setText(this.#note, note);
    setText(this.#action, ACTIONS[action] ?? '');
    this.#author.hidden = author === '';
    this.#action.hidden = action === undefined;
    this.#footer.hidden = note === '' && action === undefined;
    this.root.toggleAttribute('data-waiting', status === 'streaming' && !speaks(parts));
  }

  #showParts(parts) {
    const shown = parts.filter((part) => makerOf(part) !== undefined);
    shown.forEach((part, index) => {
      if (this.#parts[index]?.type !== part.type) this.#replace(index, part);
      this.#parts[index].show(part);
    });
    for (const { root } of this.#parts.splice(shown.length)) root.remove();
  }

  #replace(index, part) {
    const view = { type: part.type, ...makerOf(part)() };
    const old = this.#parts[index];
    if (old) old.root.replaceWith(view.root);
    else this.#body.append(view.root);
    this.#parts[index] = view;
  }
}

/** Whether the end of the answer is something that the reader sees grow. */
function speaks(parts) {
  const last = parts.at(-1);
  return last?.type === 'text' && last.text !== '';
}

function makerOf({ type }) {
  if (type === 'text') return textView;
  if (type === 'reasoning') return reasoningView;
  return type.startsWith('tool-') ? toolView : undefined;
}

function textView() {
  const root = element('div', { class: 'text', 'data-testid': 'text' });
  return {
    root,
    show({ text }) {
      setText(root, text);
      root.hidden = text === '';
      root.classList.toggle('placeholder', text === PLACEHOLDER_TEXT);
    },
  };
}

function reasoningView() {
  const summary = element('summary');
  const text = element('div', { class: 'text' });
  return {
    root: element('details', { class: 'aside', 'data-testid': 'reasoning' }, summary, text),
    show(part) {
      setText(summary, part.state === 'done' ? 'Thoughts' : 'Thinking…');
      setText(text, part.text);
    },
  };
}

function toolView() {
  const summary = element('summary');
  const input = element('pre');
  const output = element('pre');
  const root = element('details', { class: 'aside', 'data-testid': 'tool' }, summary, input, output);
  return {
    root,
    show(part) {
      const name = part.type.slice('tool-'.length);
      root.dataset.state = part.state;
      if (part.state === 'output-available') setText(summary, `Used ${name}`);
      else if (part.state === 'output-error') setText(summary, `${name} failed`);
      else setText(summary, `Using ${name}…`);
      setText(input, asText(part.input));
      setText(output, part.errorText ?? asText(part.output));
      input.hidden = input.textContent === '';
      output.hidden = output.textContent === '';
    },
  };
}

function asText(value) {
  if (value === undefined) return '';
  return typeof value === 'string' ? value : JSON.stringify(value, undefined, 2);
}

/** Text that only grew is lengthened: the browser lays out less, and keeps a selection. */
function setText(node, text) {
  const present = node.textContent;
  if (present === text) return;
  const only = node.childNodes.length === 1 ? node.firstChild : undefined;
  if (only && text.startsWith(present)) only.appendData(text.slice(present.length));
  else node.textContent = text;
}
