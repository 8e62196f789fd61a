/** The entry `@ringcast/client/tickets`: a native EventSource where a token is needed. */
export { StreamError } from "./errors.ts";
export {
	type EventSourceOptions,
	openEventSource,
	type TicketedSource,
} from "./tickets/source.ts";
export {
	createTicket,
	type StreamParameters,
	type Ticket,
	type TicketOptions,
} from "./tickets/ticket.ts";
