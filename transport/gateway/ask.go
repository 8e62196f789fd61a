package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"ringcast/broker"
	"ringcast/transport/access"
	"ringcast/transport/ask"
	"ringcast/transport/sse"
	"ringcast/transport/worker"
)

const (
	headerPrefer            = "Prefer"
	headerPreferenceApplied = "Preference-Applied"

	// respondAsync is the preference of who wants the answer's URL and no more (RFC 7240,
	// section 4.1).
	respondAsync = "respond-async"
)

// answerForm is how an answer is given.
type answerForm struct {
	as        answerMode
	format    sse.Format
	bookmarks bookmarks
	// lastEventID is where the client resumes.
	lastEventID string
}

type answerMode int

const (
	asStream answerMode = iota
	asWhole             // one JSON object, when the answer has ended
	asURL               // of the stream, at once
)

// acceptedAnswer is the answer of postAsk to who does not wait for more.
type acceptedAnswer struct {
	ID string `json:"id"`
	// URL is that of the stream, relative to the gateway's own.
	URL string `json:"url"`
	// Expires is when URL does, where it is a ticket.
	Expires *time.Time `json:"expires,omitempty"`
}

// postAsk is POST /v1/ask/{subject}: it has a worker answer the question in the body, and
// answers with the stream of that, with the whole of it as JSON, or with its URL.
func (s *Server) postAsk(c echo.Context) error {
	id, form, err := s.answering(c)
	if err != nil {
		return err
	}
	q, err := s.parseQuestion(c, id)
	if err != nil {
		return err
	}
	switch {
	case prefersAsync(c.Request().Header):
		form.as = asURL
	case form.as == asStream && wantsNoStream(c.Request().Header, q.Body):
		form.as = asWhole
	}
	if form.as == asWhole && s.Draining() {
		// A worker would be asked, and the client let go before there is an answer.
		return &limitError{http.StatusServiceUnavailable, "the gateway shuts down, and nobody was asked", retryAfter}
	}
	return s.giveAnswer(c, id, form, func(ctx context.Context) (ask.Answer, error) { return s.askOrFind(ctx, q, form.lastEventID) })
}

// getAsk is GET /v1/ask/{id}: an answer again, for who has asked.
func (s *Server) getAsk(c echo.Context) error {
	id, form, err := s.answering(c)
	if err != nil {
		return err
	}
	return s.giveAnswer(c, id, form, func(ctx context.Context) (ask.Answer, error) { return s.answerOf(ctx, c, id) })
}

// deleteAsk is DELETE /v1/ask/{id}: it has the worker stop, for who has asked.
func (s *Server) deleteAsk(c echo.Context) error {
	id, _, err := s.answering(c)
	if err != nil {
		return err
	}
	a, err := s.answerOf(c.Request().Context(), c, id)
	if err != nil {
		return err
	}
	ended, err := s.opts.Ask.Stop(c.Request().Context(), a)
	if err != nil {
		return err
	}
	if ended {
		return c.NoContent(http.StatusNoContent)
	}
	return c.NoContent(http.StatusAccepted)
}

// answering returns who makes a request about questions, and in what form it wants the
// answer, where questions are answered here.
func (s *Server) answering(c echo.Context) (*access.Identity, answerForm, error) {
	if s.opts.Ask == nil {
		return nil, answerForm{}, echo.NewHTTPError(http.StatusNotFound, "no questions are answered here: answers is not configured")
	}
	id, err := s.opts.Access.Identify(c.Request())
	if err != nil {
		return nil, answerForm{}, err
	}
	form, err := parseAnswerForm(c)
	return id, form, err
}

// answerOf returns the answer that the path names, if it is to the one who asks for it.
// To anybody else there is none.
func (s *Server) answerOf(ctx context.Context, c echo.Context, id *access.Identity) (ask.Answer, error) {
	a, err := s.opts.Ask.Find(ctx, c.Param("id"))
	if err != nil {
		return ask.Answer{}, err
	}
	if !a.Of(id.Subject) {
		return ask.Answer{}, ask.ErrUnknown
	}
	return a, id.MayAsk(a.Question)
}

// parseQuestion reads the request. The body, which may be large, comes last.
func (s *Server) parseQuestion(c echo.Context, id *access.Identity) (ask.Question, error) {
	q := ask.Question{
		Subject:  pathParam(c, "subject"),
		Identity: id.Subject,
		Key:      c.Request().Header.Get(headerIdempotency),
	}
	var bad badRequest
	bad.add("subject", broker.ValidateSubject(q.Subject))
	bad.add(headerIdempotency, validateIdempotencyKey(q.Key))
	if err := bad.err(); err != nil {
		return ask.Question{}, err
	}
	if err := id.MayAsk(q.Subject); err != nil {
		return ask.Question{}, err
	}
	if err := s.limits.publish(id, c.RealIP()); err != nil {
		return ask.Question{}, err
	}
	err := wantJSON(c)
	if err != nil {
		return ask.Question{}, err
	}
	if q.Body, err = s.readPayload(c); err != nil {
		return ask.Question{}, err
	}
	if !json.Valid(q.Body) {
		return ask.Question{}, badRequest{{Field: "body", Detail: "is no JSON value, or not one alone"}}
	}
	return q, nil
}

// askOrFind asks the question; or, where a client comes back to the URL that it has asked
// at, finds the answer that it has had events of.
func (s *Server) askOrFind(ctx context.Context, q ask.Question, lastEventID string) (ask.Answer, error) {
	if lastEventID != "" {
		a, err := s.opts.Ask.FindByEvent(ctx, lastEventID)
		if err == nil && a.IsTo(q) {
			return a, nil
		}
		if err != nil && !errors.Is(err, ask.ErrUnknown) {
			return ask.Answer{}, err // to ask again could be asking twice
		}
	}
	return s.opts.Ask.Ask(ctx, q)
}

// parseAnswerForm reads what the query and the headers say about the form of an answer.
func parseAnswerForm(c echo.Context) (answerForm, error) {
	var (
		bad   badRequest
		form  answerForm
		err   error
		query = c.QueryParams()
		names = []string{"format", "bookmarks", "last_event_id", "lastEventId"}
	)
	for name := range query {
		if !slices.Contains(names, name) {
			bad.add(name, fmt.Errorf("is no parameter here: there are %s", strings.Join(names, ", ")))
		}
	}
	form.format, err = sse.ParseFormat(query.Get("format"))
	bad.add("format", err)
	form.bookmarks, err = parseBookmarks(query.Get("bookmarks"))
	bad.add("bookmarks", err)
	if form.bookmarks == bookmarksAuto {
		// Every id is that of an event of the answer then: it can be found again by it.
		form.bookmarks = bookmarksOff
	}
	form.lastEventID = cmp.Or(c.Request().Header.Get(headerLastEventID), lastEventID(query))
	if wantsPage(c.Request().Header.Get(echo.HeaderAccept)) {
		form.as = asWhole
	}
	return form, bad.err()
}

// giveAnswer answers with the answer that find returns, once there is room for one more
// reader.
func (s *Server) giveAnswer(c echo.Context, id *access.Identity, form answerForm, find func(context.Context) (ask.Answer, error)) error {
	place, err := s.limits.take(id, c.RealIP())
	if err != nil {
		return err
	}
	kept := false
	defer func() {
		if !kept {
			place.leave()
		}
	}()
	var a ask.Answer
	if err := s.untimed(c, func(ctx context.Context) (err error) {
		a, err = find(ctx)
		return err
	}); err != nil {
		return err
	}
	filter, err := broker.NewFilter([]string{a.Subject}, nil)
	if err != nil {
		return fmt.Errorf("give answer: %w", err)
	}
	at, err := s.answerURL(a, filter, form.format, id)
	if err != nil {
		return err
	}
	h := c.Response().Header()
	h.Set(echo.HeaderLocation, at.URL)
	h.Set(worker.HeaderID, a.ID)
	h.Add(echo.HeaderVary, echo.HeaderAccept)
	switch form.as {
	case asURL:
		h.Set(headerPreferenceApplied, respondAsync)
		h.Set(echo.HeaderCacheControl, "no-store")
		return c.JSON(http.StatusAccepted, at)
	case asWhole:
		return s.serveWhole(c, a)
	}
	kept = true // by the stream
	return s.serveEvents(c, streamRequest{
		Request: broker.Request{Filter: filter, From: broker.FromID(a.Start()), LastEventID: form.lastEventID, Page: streamPage},
		client:  id.Holder(), address: parseAddress(c.RealIP()), seat: place, format: form.format, bookmarks: form.bookmarks,
	})
}

// untimed calls what waits for a worker, whose time is not the client's: the bounds of the
// request are lifted meanwhile.
func (s *Server) untimed(c echo.Context, wait func(context.Context) error) error {
	rc := http.NewResponseController(c.Response())
	for _, unbound := range []func(time.Time) error{rc.SetReadDeadline, rc.SetWriteDeadline} {
		if err := unbound(time.Time{}); err != nil {
			return err
		}
	}
	err := wait(c.Request().Context())
	return errors.Join(err, rc.SetWriteDeadline(time.Now().Add(s.opts.WriteTimeout)))
}

// answerURL returns where an answer's stream is in that format, for who can send no token:
// by a ticket, unless nobody needs a token.
func (s *Server) answerURL(a ask.Answer, f broker.Filter, format sse.Format, id *access.Identity) (acceptedAnswer, error) {
	raw := streamParams{Subjects: f.Subjects(), From: a.Start().String(), Format: format.String()}
	if s.opts.Access.OpenToAll(f) {
		return acceptedAnswer{ID: a.ID, URL: "/v1/stream?" + url.Values{"subject": raw.Subjects, "from": {raw.From}, "format": {raw.Format}}.Encode()}, nil
	}
	ticket, err := s.newTicket(raw, id)
	if err != nil {
		return acceptedAnswer{}, err
	}
	return acceptedAnswer{ID: a.ID, URL: ticket.URL, Expires: &ticket.Expires}, nil
}

// prefersAsync reports whether the client asks for the answer's URL alone.
func prefersAsync(h http.Header) bool {
	for _, line := range h.Values(headerPrefer) {
		for preference := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(preference, ";")
			if strings.EqualFold(strings.TrimSpace(name), respondAsync) {
				return true
			}
		}
	}
	return false
}

// wantsNoStream reports whether the body of a question says that its answer is to be no
// stream, in the words of language models' APIs, and the Accept header does not say.
func wantsNoStream(h http.Header, body []byte) bool {
	if strings.Contains(strings.ToLower(h.Get(echo.HeaderAccept)), sse.ContentType) {
		return false
	}
	var says struct {
		Stream   *bool `json:"stream"`
		DoStream *bool `json:"do_stream"`
	}
	_ = json.Unmarshal(body, &says) // what is no object does not say
	return says.Stream != nil && !*says.Stream || says.DoStream != nil && !*says.DoStream
}

// serveWhole answers, when the answer has ended, with all of it.
func (s *Server) serveWhole(c echo.Context, a ask.Answer) error {
	var whole *ask.Whole
	if err := s.untimed(c, func(ctx context.Context) (err error) {
		whole, err = s.opts.Ask.Collect(ctx, a, s.drain)
		return err
	}); err != nil {
		return err
	}
	body := appendWhole(nil, a.ID, whole)
	s.opened.pages.Add(1)
	s.sent.add(len(whole.Events), len(body))
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	return c.Blob(whole.Status, echo.MIMEApplicationJSON, body)
}

// appendWhole writes {"id":…,"text":…,"events":[…],"finish":…,"error":…}.
func appendWhole(b []byte, id string, w *ask.Whole) []byte {
	b = append(b, `{"id":"`+id+`","text":`...)
	b = sse.AppendString(b, w.Text)
	b = append(b, `,"events":[`...)
	for i, e := range w.Events {
		if i > 0 {
			b = append(b, ',')
		}
		b = sse.AppendJSON(b, &e.Event)
	}
	b = append(b, `],"finish":`...)
	b = append(b, orNull(w.Finish)...)
	b = append(b, `,"error":`...)
	b = append(b, orNull(w.Error)...)
	return append(b, "}\n"...)
}

func orNull(b json.RawMessage) json.RawMessage {
	if b == nil {
		return json.RawMessage("null")
	}
	return b
}
