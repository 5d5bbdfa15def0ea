export {
  useMooringChat,
  type MooringChat,
  type MooringChatOptions,
  type QueuedMessage,
} from './use-mooring-chat.js';
