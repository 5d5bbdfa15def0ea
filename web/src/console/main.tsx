import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Console } from './console.js';
import { TokenStorage } from './token.storage.js';
import './console.css';

const root = document.getElementById('root');
if (!root) throw new Error('The page has no root.');
createRoot(root).render(
  <StrictMode>
    <Console storage={new TokenStorage()} />
  </StrictMode>,
);
