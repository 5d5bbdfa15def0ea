import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Mutation } from './mutations.ts';

/**
 * The text of the mutation's file, with the fault in it.
 * @throws Error where the build does not look as the mutation expects: it is to be brought up to date
 */
export function mutated(dist: string, { edits, name, file }: Mutation): string {
  return edits.reduce(
    (text, [search, replace]) => {
      const times = text.split(search).length - 1;
      if (times !== 1) throw new Error(`${name}: ${file} holds ${times} times: ${search}`);
      return text.replace(search, () => replace);
    },
    readFileSync(join(dist, file), 'utf8'),
  );
}
