import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { Clock } from '../../clock.js';
import { AgentTool, type AgentToolHandler } from '../tool.registry.js';

const input = z.object({
  timezone: z
    .string()
    .max(64)
    .optional()
    .describe('IANA time zone such as Europe/Berlin; UTC if it is left out'),
});

export interface CurrentTime {
  /** ISO 8601, in UTC. */
  iso: string;
  /** The zone of `local`, as the IANA database spells it. */
  timezone: string;
  /** For people, such as `Monday 23 November 2026 at 05:31:12 CET`. */
  local: string;
}

@Injectable()
@AgentTool({
  name: 'current_time',
  description: 'The current date and time, in UTC and in a time zone.',
  input,
})
export class CurrentTimeTool implements AgentToolHandler<z.output<typeof input>> {
  constructor(private readonly clock: Clock) {}

  /** @throws Error if there is no such zone */
  execute({ timezone }: z.output<typeof input>): CurrentTime {
    const now = new Date(this.clock.now());
    const format = formatFor(timezone?.trim() || 'UTC');
    return { iso: now.toISOString(), timezone: format.resolvedOptions().timeZone, local: format.format(now) };
  }
}

function formatFor(timeZone: string): Intl.DateTimeFormat {
  try {
    return new Intl.DateTimeFormat('en-GB', { dateStyle: 'full', timeStyle: 'long', timeZone });
  } catch {
    throw new Error(
      `There is no time zone ${JSON.stringify(timeZone)}: name one as IANA does, such as Europe/Berlin.`,
    );
  }
}
