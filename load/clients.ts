/** The clients, in a process of their own; a scenario tells it what to do, and it says what came. */
import { serve } from '../bench/rpc.ts';
import { Crowd } from './clients/crowd.ts';
import { Deaf } from './clients/deaf.ts';
import { Streams } from './clients/streams.ts';
import { Witnesses } from './clients/witnesses.ts';

const [streams, crowd, deaf, witnesses] = [new Streams(), new Crowd(), new Deaf(), new Witnesses()];

serve({
  stream: (order: Parameters<Streams['begin']>[0]) => streams.begin(order),
  window: () => streams.window(),
  endStreams: () => streams.end(),
  arrive: (order: Parameters<Crowd['arrive']>[0]) => crowd.arrive(order),
  leave: () => crowd.leave(),
  goDeaf: (order: Parameters<Deaf['connect']>[0]) => deaf.connect(order),
  pour: (order: Parameters<Deaf['pour']>[0]) => deaf.pour(order),
  recover: () => deaf.recover(),
  leaveDeaf: () => deaf.leave(),
  askAll: (order: Parameters<Witnesses['ask']>[0]) => witnesses.ask(order),
  tryAnew: (order: Parameters<Witnesses['tryAnew']>[0]) => witnesses.tryAnew(order),
  ended: () => witnesses.ended(),
  comeBack: (order: Parameters<Witnesses['comeBack']>[0]) => witnesses.comeBack(order),
});
process.send?.({ ready: '' });
