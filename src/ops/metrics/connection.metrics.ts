import { Injectable } from '@nestjs/common';
import { refusedRequests } from '../../gateway/ack.filter.js';
import { AddressLimits } from '../../gateway/address.limits.js';
import { Authenticator } from '../../gateway/authenticator.js';
import { ChatGateway } from '../../gateway/chat.gateway.js';
import { Handshake } from '../../gateway/handshake.js';
import { rateLimited } from '../../gateway/rate.limits.js';
import { requests } from '../../gateway/request.pipeline.js';
import { cutOff } from '../../gateway/transport.js';
import type { Instruments } from './instruments.js';

/** Who is connected, what it asks, and what it was refused. */
@Injectable()
export class ConnectionMetrics {
  constructor(
    private readonly gateway: ChatGateway,
    private readonly addresses: AddressLimits,
    private readonly handshake: Handshake,
    private readonly authenticator: Authenticator,
  ) {}

  register(to: Instruments): void {
    const { gateway, addresses, handshake, authenticator } = this;
    to.gauge({ name: 'mooring_sockets', help: 'Open Socket.IO sockets.' }, () => gateway.sockets);
    to.gauge(
      {
        name: 'mooring_connections',
        help: 'Open connections of all kinds: Socket.IO, plain WebSockets, streams over HTTP.',
      },
      () => addresses.connections,
    );
    to.counter(
      { name: 'mooring_connections_accepted_total', help: 'Connections of all kinds that were opened.' },
      () => addresses.accepted,
    );
    to.counters(
      {
        name: 'mooring_connections_refused_total',
        help: 'Connections and requests over HTTP that were refused as they came, by reason.',
      },
      'reason',
      () => ({ ...addresses.refused, ...handshake.refused, ...authenticator.refused }),
    );
    to.counters(
      { name: 'mooring_disconnects_total', help: "Sockets that closed, by Socket.IO's reason." },
      'reason',
      () => gateway.disconnects,
    );
    to.counters(
      {
        name: 'mooring_cut_off_total',
        help: 'Transports that were cut off: they took nothing, flooded, or broke a limit.',
      },
      'reason',
      () => cutOff,
    );
    to.gauge(
      { name: 'mooring_unsent_bytes', help: 'What sockets were sent and have not taken.' },
      () => gateway.unsent.bytes,
    );
    to.gauge(
      {
        name: 'mooring_sockets_congested',
        help: 'Sockets that are sent nothing until they take what is unsent.',
      },
      () => gateway.unsent.congested,
    );
    to.counters(
      { name: 'mooring_requests_total', help: 'Requests of sockets, by event.' },
      'event',
      () => requests,
    );
    to.counters(
      { name: 'mooring_requests_refused_total', help: 'Requests that failed, by the code of their answer.' },
      'code',
      () => refusedRequests,
    );
    to.counters(
      {
        name: 'mooring_rate_limited_total',
        help: 'Requests that came too often, by whose rate was used up.',
      },
      'scope',
      () => rateLimited,
    );
  }
}
