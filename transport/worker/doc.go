// Package worker answers the questions that clients ask a Ringcast gateway
// (transport/PROTOCOL.md, "For workers"), with whatever makes answers: a language model,
// a search, a report.
//
//	w, err := worker.New(nc, worker.Options{Subject: "chat"})
//	err = w.Run(ctx, func(ctx context.Context, q *worker.Question, a *worker.Answer) error {
//		for piece := range model.Stream(ctx, q.Body) {
//			if err := a.Add(piece); err != nil {
//				return err
//			}
//		}
//		return nil
//	})
//
// Programs in any number that use the same queue group share the questions.
//
// What it promises:
//   - Events are stored in the order in which they were said, each once, also while NATS
//     is restarted. One event of an answer is under way at a time: it has an id, by which it
//     is stored once however often it is published, and names the event before it, so that
//     nothing comes after an end that somebody else has put to the answer.
//   - What was added while an event was under way goes out as one event: a model that is
//     faster than the network costs fewer events, not memory. The text is the same.
//   - Every answer is ended, whether the handler returns, fails or panics. A stopped one says
//     that it was.
//   - Memory is bounded: [Options].Concurrency answers, [Options].Buffer of each.
//   - From before a question is accepted until its answer has ended, the gateway's probe is
//     answered and its stop is heard.
//
// What that costs, with the NATS server in the same process on 2 cores (go test -bench Add):
// a piece that is an event of its own takes 67 µs in one answer and 49 µs in each of 100 at
// once, so 15,000 to 20,000 a second; one that joins others under a microsecond.
//
// What it does not promise:
//   - That a question is answered by a worker that is free: NATS knows no loads. See
//     [Options].Concurrency.
//   - That an answer survives its worker. When the process dies the gateway ends it.
//   - That the gateway waits for a worker that thinks for long: its ask-first-timeout and
//     ask-silence-timeout count from event to event. Send an info in between.
//
// Concurrency: a [Worker] may be used by any number of calls of Run. Handlers and
// Options.Check are called from a goroutine of their own for each question.
//
// A worker needs to subscribe to ask.> and _ask.>, and to publish to the subjects of answers
// and, for its replies, to _INBOX.>; nothing of JetStream's API.
package worker
