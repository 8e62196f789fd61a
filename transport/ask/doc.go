// Package ask has questions answered by workers over NATS, and sees to it that every
// answer ends.
//
//	client ── POST ──▶ gateway ── Ask ──▶ NATS request on ask.{subject} ──▶ worker
//	                                                                        │ add, info, … finish
//	client ◀── stream ── hub ◀── ring ◀── stream: events.answers.<id> ◀─────┘
//
// An answer is the events of a subject of its own. The first one, of type [TypeAsk], is
// the gateway's: it says what was asked and by whom, and makes the answer's claim.
//
//	A1  A claim is stored only if the newest event of its subject is the one expected
//	    (see [Publisher]): of two that ask with the same key, on whatever gateways, one
//	    asks the worker, and the other has its answer.
//	A2  A claim comes before the worker hears of the question, so that nothing of an
//	    answer lies before it.
//	A3  An answer that goes wrong ends with an event of type [TypeError], which is stored
//	    only if the newest event is still the one after which it went wrong: what a
//	    worker was about to say in time is not cut off, and no answer has two of them.
//	    That of an answer which is too large, or was stopped, follows whatever is the newest.
//	A4  Every gateway watches every answer that it has heard of, and does so by the events
//	    alone. So it does not matter which of them a question came by, or whether that
//	    one still runs.
//
// What it promises:
//   - To wait for a worker costs nothing but the request's own goroutine; to watch an
//     answer, a place in a map.
//   - Whoever reads an answer is told how it ended, now or later.
//   - Memory is bounded, by [maxAnswers].
//
// What it does not promise: that an answer ends of which no gateway has heard since it
// started and that nobody reads; it is watched again when somebody does. Nor that a
// question is asked once where the gateway dies between the claim and the request: such an
// answer ends by [FirstEventLate]. Nor that more than the gap is told to who comes while
// NATS is away to an answer that is gone with its stream when NATS is back.
//
// Concurrency: a [Desk] may be used from any number of goroutines.
package ask
