import { describe, expect, it } from '@jest/globals';
import { SessionDamaged } from '../session.store.js';
import { toMessage, toMessages } from './stored.json.js';

const message = (id: string): string =>
  JSON.stringify({ id, role: 'user', parts: [{ type: 'text', text: id }] });

describe('messages as they are stored', () => {
  it('are read together as they are one by one', () => {
    const jsons = ['a', 'é\u2028', '],[', '},{'].map(message);
    expect(toMessages(jsons)).toEqual(jsons.map(toMessage));
    expect(toMessages([])).toEqual([]);
  });

  it.each([
    ['cut', message('b').slice(0, -1)],
    ['empty', ''],
    ['two in one row', `${message('b')},${message('c')}`],
    ['something else', '{"id":"b"}'],
    ['nothing', 'null'],
  ])('[STO-8] are not read together where one is %s, and that one is refused', (_, damaged) => {
    expect(toMessages([message('a'), damaged])).toBeUndefined();
    expect(() => toMessage(damaged)).toThrow(SessionDamaged);
  });

  it('[STO-8] are not read together where two damaged rows would make as many messages', () => {
    const [first = '', second = ''] = [message('a'), message('b')];
    const split = [`${first},${second.slice(0, 8)}`, second.slice(8)];
    expect(toMessages([...split, message('c')])).toBeUndefined();
  });
});
