import { memoryStore, sqliteStore } from './embedded.stores.js';
import { describeSessionStore } from './session-store.contract.js';

describeSessionStore('memory', memoryStore);
describeSessionStore('sqlite', sqliteStore);
