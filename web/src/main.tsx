// Before all else: the schemas of what is imported below are made as it is loaded.
import './zod.js';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { MooringClient } from 'mooring-client';
import { App } from './app.js';
import { ConversationList } from './conversation.list.js';
import { ConversationRouter } from './conversation.router.js';
import { pageStorage } from './storage.js';
import './style.css';

const storage = pageStorage();
const client = new MooringClient(location.origin, { storage });
const router = new ConversationRouter(client, new ConversationList(storage), storage);
const root = document.getElementById('root');
if (!root) throw new Error('The page has no root.');
createRoot(root).render(
  <StrictMode>
    <App client={client} router={router} />
  </StrictMode>,
);
