package access_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ringcast/transport/access"
)

// service answers questions as a test wants it.
type service struct {
	mu      sync.Mutex
	asked   []access.Question
	answers func(access.Question) (string, error)
}

func (s *service) Ask(ctx context.Context, subject string, question []byte) ([]byte, error) {
	var q access.Question
	if err := json.Unmarshal(question, &q); err != nil || subject != "auth.subscribe" {
		return nil, errors.Join(err, errors.New("asked on "+subject))
	}
	s.mu.Lock()
	s.asked = append(s.asked, q)
	s.mu.Unlock()
	text, err := s.answers(q)
	if text == "" && err == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return []byte(text), err
}

func (s *service) questions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

func (s *service) policy(t *testing.T) *access.Policy {
	t.Helper()
	return policy(t, access.Options{
		Keys:    secretFile(t),
		Callout: access.Callout{Asker: s, Subject: "auth.subscribe"},
		Logger:  slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
}

func TestCallout(t *testing.T) {
	s := &service{answers: func(q access.Question) (string, error) {
		switch {
		case strings.HasSuffix(q.Subjects[0], ".no"):
			return `{"allow":false,"reason":"not\r\nyours"}`, nil
		case strings.HasSuffix(q.Subjects[0], ".rubbish"):
			return `yes`, nil
		case strings.HasSuffix(q.Subjects[0], ".away"):
			return "", errors.New("no responders")
		case strings.HasSuffix(q.Subjects[0], ".empty"):
			return `{}`, nil
		}
		return `{"allow":true}`, nil
	}}
	p := s.policy(t)
	id := accepted(t, p, signed(claims()))
	may := func(subject string) error {
		return p.MaySubscribe(t.Context(), id, "192.0.2.1", filter(t, subject))
	}
	if err := may("events.notify.42.yes"); err != nil {
		t.Error(err)
	}
	if q := s.asked[0]; q.Identity != "42" || q.Address != "192.0.2.1" || q.Subjects[0] != "events.notify.42.yes" {
		t.Errorf("asked %+v", q)
	}
	var refused *access.RefusedError
	if err := may("events.notify.42.no"); !errors.As(err, &refused) || err.Error() != "this subscription is not allowed: not  yours" {
		t.Errorf("refused: %v", err)
	}
	if err := may("events.notify.42.empty"); !errors.As(err, &refused) {
		t.Errorf("without allow: %v", err)
	}
	for _, subject := range []string{"events.notify.42.rubbish", "events.notify.42.away"} {
		if err := may(subject); err == nil || err.Error() != access.ErrCallout.Error() {
			t.Errorf("%s: %v", subject, err)
		}
	}
	// What is not granted is not asked for.
	asked := s.questions()
	var denied *access.DeniedError
	if err := may("events.notify.43.yes"); !errors.As(err, &denied) || s.questions() != asked {
		t.Errorf("%v, %d questions", err, s.questions()-asked)
	}
}

func TestCallout_kept(t *testing.T) {
	s := &service{answers: func(q access.Question) (string, error) {
		if strings.HasSuffix(q.Subjects[0], ".slow") {
			return "", nil // no answer
		}
		time.Sleep(time.Millisecond)
		return `{"allow":true}`, nil
	}}
	p := s.policy(t)
	id := accepted(t, p, signed(claims("exp", time.Now().Add(100*365*24*time.Hour).Unix())))
	synctest.Test(t, func(t *testing.T) {
		may := func(subject string) error { return p.MaySubscribe(t.Context(), id, "", filter(t, subject)) }
		var all sync.WaitGroup
		for range 100 { // a crowd is one question
			all.Go(func() {
				if err := may("events.notify.42.a"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if s.questions() != 1 {
			t.Errorf("%d questions by a crowd", s.questions())
		}
		time.Sleep(6 * time.Second)
		if err := may("events.notify.42.a"); err != nil || s.questions() != 2 {
			t.Errorf("later: %v, %d questions", err, s.questions())
		}
		// No answer is no permission, and not kept.
		for range 2 {
			began := time.Now()
			if err := may("events.notify.42.slow"); !errors.Is(err, access.ErrCallout) || time.Since(began) != 2*time.Second {
				t.Errorf("%v after %s", err, time.Since(began))
			}
		}
		// Who gives up does not take the answer from those who wait with him.
		ctx, cancel := context.WithTimeout(t.Context(), time.Microsecond)
		defer cancel()
		go func() { _ = p.MaySubscribe(ctx, id, "", filter(t, "events.notify.42.b")) }()
		synctest.Wait()
		if err := may("events.notify.42.b"); err != nil {
			t.Error(err)
		}
		for i := range 20_000 { // nothing grows without a bound
			if err := may("events.notify.42." + strconv.Itoa(i)); err != nil {
				t.Fatal(err)
			}
		}
		if n := access.Kept(p); n > 10_000 {
			t.Errorf("%d answers are kept", n)
		}
	})
}
