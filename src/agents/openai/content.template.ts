const KEY = '"content"';
const CONTENT = `${KEY}:"`;

/**
 * Reads the content out of chunks that differ in nothing else, which is nearly all of them: a vendor's chunks
 * repeat some 200 characters of JSON around a token of five. A chunk that was read in the long way teaches the
 * text around its content; the next one that begins and ends with the same text is the same JSON but for this
 * one string, if what is between is a string's inside: without a quote, and without a backslash, which may
 * hide one, or a control character, which makes it no JSON.
 */
export class ContentTemplate {
  #before?: string;
  #after = '';

  /**
   * @param data a chunk that was read, and that says nothing but its content
   * @param content what was read; texts that could be meant by mistake teach nothing
   */
  learn(data: string, content: string): void {
    this.#before = undefined;
    const at = data.indexOf(CONTENT);
    const isOnly = at >= 0 && at === data.indexOf(KEY) && !data.includes(KEY, at + 1);
    const from = at + CONTENT.length;
    // Without backslashes no key is written in another way, and nothing that looks like a key is a string.
    if (!isOnly || data.includes('\\') || !data.startsWith(`${content}"`, from)) return;
    this.#before = data.slice(0, from);
    this.#after = data.slice(from + content.length);
  }

  /** The content of a chunk that is like the one before; undefined where it must be read in the long way. */
  match(data: string): string | undefined {
    const before = this.#before;
    if (before === undefined || data.length < before.length + this.#after.length) return undefined;
    if (!data.endsWith(this.#after) || !data.startsWith(before)) return undefined;
    const content = data.slice(before.length, data.length - this.#after.length);
    return isPlain(content) ? content : undefined;
  }
}

/** What stands for itself between the quotes of a JSON string (RFC 8259, section 7). */
function isPlain(text: string): boolean {
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit === 0x22 || unit === 0x5c || unit < 0x20) return false;
  }
  return true;
}
