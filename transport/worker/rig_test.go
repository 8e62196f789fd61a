package worker_test

import (
	"encoding/json"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"ringcast/transport/worker/workertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// event is what is stored of an answer.
type event = workertest.Event

func said(typ, data string) event { return event{Type: typ, Data: data} }

func wantEvents(t *testing.T, got []event, want ...event) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func wantFailure(t *testing.T, e event, reason string) {
	t.Helper()
	var f struct{ Reason, Detail string }
	if err := json.Unmarshal([]byte(e.Data), &f); err != nil || e.Type != "error" || f.Reason != reason {
		t.Errorf("got %q (%v), want an error with the reason %s", e, err, reason)
	}
}
