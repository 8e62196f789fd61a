package gateway

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"ringcast/broker"
	"ringcast/transport/access"
	"ringcast/transport/sse"
)

const (
	// maxStreamBody bounds the JSON body of a stream request: the longest subject
	// list that a filter takes, of subjects of usual length.
	maxStreamBody = 256 << 10
	defaultLimit  = 100
	maxLimit      = 1000
	maxWait       = time.Minute
	// minConflate keeps a subscription from being woken more often than pays.
	minConflate = 10 * time.Millisecond
	maxConflate = time.Minute
)

// streamParams are a stream's parameters as the client wrote them. PROTOCOL.md,
// "Stream parameters", describes them.
type streamParams struct {
	Subjects    stringList `json:"subject,omitempty"`
	Types       stringList `json:"type,omitempty"`
	From        string     `json:"from,omitempty"`
	LastEventID string     `json:"last_event_id,omitempty"`
	Format      string     `json:"format,omitempty"`
	Bookmarks   string     `json:"bookmarks,omitempty"`
	Conflate    string     `json:"conflate,omitempty"`
	Limit       *int       `json:"limit,omitempty"`
	Wait        string     `json:"wait,omitempty"`
}

// streamRequest is what the parameters ask for.
type streamRequest struct {
	broker.Request
	client    *access.Identity
	address   netip.Addr
	seat      seat
	format    sse.Format
	bookmarks bookmarks
	limit     int           // of a page
	wait      time.Duration // of a page
}

// bookmarks says how a stream hands its client an id without an event.
type bookmarks string

const (
	bookmarksAuto  bookmarks = ""
	bookmarksBlock bookmarks = "block" // id: line and blank line
	bookmarksLine  bookmarks = "line"  // id: line alone
	bookmarksOff   bookmarks = "off"
)

// stringList is a string or a list of them in JSON.
type stringList []string

// UnmarshalJSON implements json.Unmarshaler.
func (l *stringList) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*l = stringList{one}
		return nil
	}
	var many []string
	err := json.Unmarshal(b, &many)
	if typ := (*json.UnmarshalTypeError)(nil); errors.As(err, &typ) {
		if b[0] == '[' {
			typ.Value = "array with other things than strings"
		}
		return &json.UnmarshalTypeError{Value: typ.Value, Type: reflect.TypeFor[stringList]()} // the decoder adds the field
	}
	*l = many
	return err
}

// The names of the parameters: in a body, and in a query.
var (
	bodyNames  = []string{"subject", "type", "from", "last_event_id", "format", "bookmarks", "conflate", "limit", "wait"}
	queryNames = append(slices.Clone(bodyNames), "lastEventId")
)

// noParameter says of a name that it is none of those.
func noParameter(names []string) string {
	return "is no parameter: there are " + strings.Join(names, ", ")
}

// once are the parameters of a query that are not lists. Those for the last event ID are
// not among them: a client that adds its own to a URL which has one is not to be refused.
var once = []string{"from", "format", "bookmarks", "conflate", "limit", "wait"}

// queryParams reads the parameters of a query. An unknown name is an error: a
// misspelt from would be silently now.
func queryParams(q url.Values) (streamParams, error) {
	var bad badRequest
	for name, values := range q {
		switch {
		case !slices.Contains(queryNames, name):
			bad.add(name, errors.New(noParameter(queryNames)))
		case len(values) > 1 && slices.Contains(once, name):
			bad.add(name, fmt.Errorf("is given %d times", len(values)))
		}
	}
	p := streamParams{
		Subjects:    q["subject"],
		From:        q.Get("from"),
		LastEventID: lastEventID(q),
		Format:      q.Get("format"),
		Bookmarks:   q.Get("bookmarks"),
		Conflate:    q.Get("conflate"),
		Wait:        q.Get("wait"),
	}
	for _, types := range q["type"] {
		p.Types = append(p.Types, strings.Split(types, ",")...)
	}
	if v := q.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			bad.add("limit", fmt.Errorf("%q is not a number from 1 to %d", v, maxLimit))
		}
		p.Limit = &n
	}
	return p, bad.err()
}

// lastEventID returns the id that a client which cannot set the header gives in its
// query, by either name.
func lastEventID(q url.Values) string {
	return cmp.Or(q.Get("last_event_id"), q.Get("lastEventId"))
}

// bodyParams reads the parameters of the query, and over them the members of the JSON
// body. An empty body has none.
func bodyParams(c echo.Context) (streamParams, error) {
	p, err := queryParams(c.QueryParams())
	if err == nil {
		err = decodeParams(c, &p)
	}
	return p, err
}

func decodeParams(c echo.Context, p *streamParams) error {
	body, err := readBody(c, maxStreamBody)
	if err != nil {
		return err
	}
	if len(body) == 0 {
		return nil
	}
	if err := wantJSON(c); err != nil {
		return err
	}
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(p); err != nil {
		return badRequest{bodyError(err)}
	}
	if _, err := dec.Token(); err != io.EOF {
		return badRequest{{Field: "body", Detail: "there is more than one JSON value"}}
	}
	return nil
}

// bodyError names the member that an error of encoding/json is about, where it is about one.
func bodyError(err error) fieldError {
	text := strings.TrimPrefix(err.Error(), "json: ")
	if name, ok := strings.CutPrefix(text, "unknown field "); ok {
		return fieldError{strings.Trim(name, `"`), noParameter(bodyNames)}
	}
	if typ := (*json.UnmarshalTypeError)(nil); errors.As(err, &typ) {
		return fieldError{cmp.Or(typ.Field, "body"), fmt.Sprintf("is a JSON %s: want %s", typ.Value, jsonTypes[typ.Type.Kind()])}
	}
	return fieldError{"body", "is no JSON: " + text}
}

// jsonTypes is what a body, and its members, have to be.
var jsonTypes = map[reflect.Kind]string{
	reflect.Struct: "an object",
	reflect.String: "a string",
	reflect.Slice:  "a string or a list of strings",
	reflect.Int:    "a whole number",
}

// readBody reads the request's body, of most bytes at the most.
func readBody(c echo.Context, most int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), c.Request().Body, most))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, err
	}
	if err != nil {
		return nil, echo.NewHTTPError(http.StatusBadRequest, "the body could not be read to its end")
	}
	return body, nil
}

// wantJSON refuses a request whose body is not said to be JSON.
func wantJSON(c echo.Context) error {
	contentType := c.Request().Header.Get(echo.HeaderContentType)
	if media, _, _ := mime.ParseMediaType(contentType); media != echo.MIMEApplicationJSON {
		return echo.NewHTTPError(http.StatusUnsupportedMediaType,
			fmt.Sprintf("the body has Content-Type %q: want application/json", contentType))
	}
	return nil
}

// request checks every parameter and returns what they ask for, or all that is
// wrong with them.
func (p streamParams) request(now time.Time, allowed []string) (streamRequest, error) {
	var (
		bad badRequest
		req streamRequest
		err error
	)
	req.LastEventID = p.LastEventID
	types := p.Types
	if err = validateTypes(types); err != nil {
		bad.add("type", err)
		types = nil
	}
	if req.Filter, err = broker.NewFilter(p.Subjects, types); err == nil {
		err = req.Filter.Within(allowed)
	}
	bad.add("subject", err)
	req.From, err = broker.ParseFrom(p.From, now)
	bad.add("from", err)
	req.format, err = sse.ParseFormat(p.Format)
	bad.add("format", err)
	req.bookmarks, err = parseBookmarks(p.Bookmarks)
	bad.add("bookmarks", err)
	req.Conflate, err = parseConflate(p.Conflate)
	if err == nil && req.Conflate > 0 && len(p.Types) > 0 {
		err = errors.New("cannot be combined with type: the newest event of a subject may be of another one")
	}
	bad.add("conflate", err)
	req.limit, err = parseLimit(p.Limit)
	bad.add("limit", err)
	req.wait, err = parseWait(p.Wait)
	bad.add("wait", err)
	return req, bad.err()
}

func validateTypes(types []string) error {
	for _, t := range types {
		if err := broker.ValidateType(t); err != nil {
			return err
		}
	}
	return nil
}

func parseBookmarks(v string) (bookmarks, error) {
	switch b := bookmarks(v); b {
	case bookmarksAuto, bookmarksBlock, bookmarksLine, bookmarksOff:
		return b, nil
	}
	return "", fmt.Errorf("%q is none of block, line, off", v)
}

func parseConflate(v string) (time.Duration, error) {
	if v == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < minConflate || d > maxConflate {
		return 0, fmt.Errorf("%q is not a duration from %s to %s", v, minConflate, maxConflate)
	}
	return d, nil
}

func parseLimit(v *int) (int, error) {
	switch {
	case v == nil:
		return defaultLimit, nil
	case *v < 1 || *v > maxLimit:
		return 0, fmt.Errorf("%d is not from 1 to %d", *v, maxLimit)
	}
	return *v, nil
}

func parseWait(v string) (time.Duration, error) {
	if v == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 || d > maxWait {
		return 0, fmt.Errorf("%q is not a duration from 0s to %s", v, maxWait)
	}
	return d, nil
}
