import { afterAll, afterEach, beforeAll, expect } from '@jest/globals';
import type { Browser, BrowserContext, BrowserContextOptions } from 'playwright-core';
import { launchBrowser } from './browser.js';
import { disposeAll, onDispose, type TestGateway } from './gateway.js';
import { ChatPage } from './page.js';

export interface Visitors {
  /** Somebody with a browser: the tabs of one visitor share what the page keeps. */
  visitor(options?: BrowserContextOptions): Promise<BrowserContext>;
  /** A tab that is not yet anywhere. */
  blank(visitor: BrowserContext): Promise<ChatPage>;
  /** A tab whose session is bound. */
  open(visitor: BrowserContext, url: string): Promise<ChatPage>;
  /** A visitor's first tab, with an answer of which the first word is shown. */
  answering(
    running: TestGateway,
    options?: BrowserContextOptions,
  ): Promise<{
    context: BrowserContext;
    chat: ChatPage;
    call: Awaited<ReturnType<TestGateway['model']['nextCall']>>;
  }>;
}

/**
 * Call within a suite: one browser for its tests. After each of them everything is disposed of, and no page
 * may have complained.
 */
export function useBrowser(): Visitors {
  const chats: ChatPage[] = [];
  let browser: Browser;

  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser.close());
  afterEach(async () => {
    const complaints = chats.splice(0).flatMap((chat) => chat.complaints);
    await disposeAll();
    expect(complaints).toEqual([]);
  });

  const visitors: Visitors = {
    visitor: async (options) => {
      const made = await browser.newContext(options);
      // Less than a test has: what it waited for in vain is told.
      made.setDefaultTimeout(20_000);
      onDispose(() => made.close());
      return made;
    },
    blank: async (visitor) => {
      const chat = await ChatPage.blank(visitor);
      chats.push(chat);
      return chat;
    },
    open: async (visitor, url) => {
      const chat = await visitors.blank(visitor);
      await chat.go(url);
      return chat;
    },
    answering: async (running, options) => {
      const context = await visitors.visitor(options);
      const chat = await visitors.open(context, running.url);
      await chat.say('Tell me');
      const call = (await running.model.nextCall()).begin().text('one ');
      await chat.shows('user sent: Tell me', 'assistant streaming: one ');
      return { context, chat, call };
    },
  };
  return visitors;
}
