package openai_test

import (
	"encoding/json"
	"errors"
	"testing"

	"ringcast/transport/worker"
	"ringcast/transport/worker/openai"
)

// FuzzModel_Check: whatever a client sends is taken, and then is a conversation, or it is
// refused with 400 and a reason that can be told.
func FuzzModel_Check(f *testing.F) {
	for _, body := range []string{
		``, `{}`, `null`, `{"prompt":"x"}`, `{"messages":[{"role":"user","content":"x"}],"stream":false,"seed":1}`,
		`{"prompt":"x","stop":["a"],"top_p":1e400}`, `{"messages":[{"role":"\ud800","content":null}]}`, `{"prompt":"x"}}`,
	} {
		f.Add([]byte(body))
	}
	m, err := openai.New(openai.Options{Endpoint: "http://localhost/v1", Model: "m"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		err := m.Check(t.Context(), &worker.Question{Body: body})
		var refusal *worker.Refusal
		switch {
		case err == nil:
			var q openai.Question
			if json.Unmarshal(body, &q) != nil || len(q.Messages) == 0 && q.Prompt == "" {
				t.Errorf("%q is taken", body)
			}
		case !errors.As(err, &refusal) || refusal.Status != 400 || refusal.Body["reason"] != "invalid":
			t.Errorf("%q is refused by %v", body, err)
		default:
			if _, err := json.Marshal(refusal.Body); err != nil {
				t.Errorf("%q is refused with what cannot be told: %v", body, err)
			}
		}
	})
}
