package worker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"ringcast/transport/worker"
	"ringcast/transport/worker/workertest"
)

// What a piece of text costs with its event, of one answer at a time and of 100 at once:
// a piece for each operation. With events of their own, pieces wait for each other's
// acknowledgement.
func BenchmarkAnswer_Add(b *testing.B) {
	for _, separate := range []bool{true, false} {
		for _, answers := range []int{1, 100} {
			b.Run(fmt.Sprintf("separate=%v/answers=%d", separate, answers), func(b *testing.B) {
				s := workertest.StartNATS(b)
				g := workertest.NewGateway(b, s)
				var running, started sync.WaitGroup
				begin := make(chan struct{})
				workertest.Run(b, s, worker.Options{Separate: separate, Concurrency: answers}, func(_ context.Context, _ *worker.Question, a *worker.Answer) error {
					defer running.Done()
					started.Done()
					<-begin
					for range b.N/answers + 1 {
						if err := a.Add("token "); err != nil {
							b.Error(err)
							return err
						}
					}
					return a.Finish(nil)
				})
				running.Add(answers)
				started.Add(answers)
				for range answers {
					g.Ask(`1`)
				}
				started.Wait()
				b.ResetTimer()
				close(begin)
				running.Wait()
			})
		}
	}
}
