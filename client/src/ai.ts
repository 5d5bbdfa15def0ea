export { MooringChatTransport } from './chat.transport.js';
