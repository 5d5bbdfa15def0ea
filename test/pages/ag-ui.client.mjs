/**
 * A client of AG-UI as its documentation shows it, in a process of its own: where the connection breaks, HttpAgent
 * also leaves a rejected promise that nobody handles. Prints its messages whenever they change, and runs again what
 * was cut off.
 */
import { HttpAgent } from '@ag-ui/client';

const [url, threadId, key] = process.argv.slice(2);
process.on('unhandledRejection', () => undefined);
console.error = () => undefined;
const agent = new HttpAgent({ url, threadId, headers: { Authorization: `Bearer ${key}` } });
agent.subscribe({
  onMessagesChanged: ({ messages }) =>
    console.log(JSON.stringify(messages.map(({ role, content }) => `${role}: ${content}`))),
});
agent.addMessage({ id: 'm1', role: 'user', content: 'Tell me' });
for (let isDone = false; !isDone;) {
  isDone = await agent.runAgent().then(
    () => true,
    () => false,
  );
  console.log(isDone ? 'done' : 'cut');
}
