const KEY = '"content"';
const CONTENT = `${KEY}:"`;

/**
 * Reads the content out of events that differ in nothing else, which is nearly all of them: a vendor's events
 * repeat some 200 characters around a token of five. One that was read in the long way teaches the text around
 * its content; the next one that begins and ends with the same text is the same event but for this one string,
 * if what is between is a string's inside: without a quote, and without a backslash, which may hide one, or a
 * control character, which makes it no JSON, or ends the line.
 */
export class ContentTemplate {
  #before?: string;
  #after = '';

  /**
   * @param data of an event that was read, and that says nothing but its content
   * @param content what was read; texts that could be meant by mistake teach nothing
   */
  learn(data: string, content: string): void {
    this.#before = undefined;
    const at = data.indexOf(CONTENT);
    const isOnly = at >= 0 && at === data.indexOf(KEY) && !data.includes(KEY, at + 1);
    const from = at + CONTENT.length;
    // Without backslashes no key is written in another way, and nothing that looks like a key is a string.
    if (!isOnly || data.includes('\\') || !data.startsWith(`${content}"`, from)) return;
    this.#before = `data: ${data.slice(0, from)}`;
    this.#after = `${data.slice(from + content.length)}\n\n`;
  }

  /**
   * Takes the events that are like the one before.
   * @param text from the beginning of an event on
   * @returns how much of it was taken; the rest must be read in the long way
   */
  take(text: string, onContent: (content: string) => void): number {
    const before = this.#before;
    if (before === undefined) return 0;
    let at = 0;
    while (text.startsWith(before, at)) {
      const from = at + before.length;
      const to = text.indexOf('"', from);
      if (to < 0 || !text.startsWith(this.#after, to)) break;
      const content = text.slice(from, to);
      if (!isPlain(content)) break;
      onContent(content);
      at = to + this.#after.length;
    }
    return at;
  }
}

/** What stands for itself between the quotes of a JSON string (RFC 8259, section 7). */
function isPlain(text: string): boolean {
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit === 0x5c || unit < 0x20) return false;
  }
  return true;
}
