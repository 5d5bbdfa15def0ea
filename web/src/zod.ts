import { config } from 'zod';

// The AI SDK's schemas would try whether they may make code at run time, which the page's content policy forbids.
config({ jitless: true });
