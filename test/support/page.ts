import type { BrowserContext, Page } from 'playwright-core';
import { until } from './channel.js';

/** What a browser writes where the network fails, which a test does on purpose. */
const NETWORK = /WebSocket connection to|Failed to load resource: net::/;

/** Read at one moment, in the page. Markdown shows no space at the end of a text. */
const MESSAGES = `[...document.querySelectorAll('[data-testid=message]')].map((message) => {
  const texts = [...message.querySelectorAll('[data-testid=text]')].map((text) => text.textContent);
  return message.dataset.role + ' ' + (message.dataset.status + ': ' + texts.join('')).trimEnd();
})`;

/** The chat page in a tab, as a person sees it. */
export class ChatPage {
  /** All that the browser's console held, in order. */
  readonly console: string[] = [];

  private constructor(readonly page: Page) {
    page.on('console', (message) => this.console.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => this.console.push(`uncaught: ${error.message}`));
  }

  /** A tab that is not yet anywhere. */
  static async blank(context: BrowserContext): Promise<ChatPage> {
    return new ChatPage(await context.newPage());
  }

  /** Resolves when its session is bound. */
  async go(url: string): Promise<void> {
    await this.page.goto(url);
    await this.connected();
  }

  /** Errors, breaches of the content security policy among them; a network that failed is none of the page's. */
  get complaints(): string[] {
    return this.console.filter((line) => /^(error|warning|uncaught): /.test(line) && !NETWORK.test(line));
  }

  at(testId: string) {
    return this.page.getByTestId(testId);
  }

  /** Its session is bound, and its agents are listed. */
  async connected(): Promise<void> {
    await this.page.locator('[data-testid=connection][data-state=connected]').waitFor();
    await this.page.locator('[data-testid=agent-select]:enabled').waitFor();
  }

  async away(): Promise<void> {
    await this.page.locator('[data-testid=connection]:not([data-state=connected])').waitFor();
  }

  async say(text: string): Promise<void> {
    await this.at('composer').fill(text);
    await this.at('composer').press('Enter');
  }

  /** `role status: text` of each message, in its order. */
  messages(): Promise<string[]> {
    return this.page.evaluate<string[]>(MESSAGES);
  }

  /** Waits until these messages are shown, and no others. */
  async shows(...rows: string[]): Promise<void> {
    const expected = JSON.stringify(rows.map((row) => row.trimEnd()));
    let last: string[] = [];
    await until(async () => {
      last = await this.messages();
      return JSON.stringify(last) === expected;
    }, expected).catch((error: unknown) => {
      throw new Error(`${String(error)}; the page shows ${JSON.stringify(last)}`);
    });
  }

  /** Goes from element to element until this one has the focus. */
  async tabTo(testId: string, key: 'Tab' | 'Shift+Tab' = 'Tab'): Promise<void> {
    const steps: string[] = [];
    while (steps.at(-1) !== testId) {
      if (steps.length > 30) throw new Error(`${key} does not lead to ${testId}: ${steps.join(', ')}`);
      await this.page.keyboard.press(key);
      steps.push(await this.focused());
    }
  }

  /** The test id of what has the focus; '' where that has none. */
  focused(): Promise<string> {
    return this.page.evaluate<string>("document.activeElement?.dataset.testid ?? ''");
  }
}
