package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"ringcast/broker"
	"ringcast/transport/sse"
)

// tail is what the flags and arguments of `ringcast sub` say.
type tail struct {
	url               *gatewayURL
	caller            *caller
	subjects, types   []string
	from, lastEventID string
	format            string
	count             int
}

// The formats in which events are printed.
const (
	formatText = "text" // one line: id, subject, type, data
	formatJSON = "json" // one line: a CloudEvent
	formatRaw  = "raw"  // the data alone
)

func newSub() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sub SUBJECT...",
		Short: "Follow subjects through a gateway",
		Long: "Follow subjects through a gateway, and print their events until interrupted. When the connection is\n" +
			"lost it is made again, and nothing is missed in between; should something be lost for good, that is\n" +
			"said on standard error.",
		Example: "  ringcast sub 'events.>'\n" +
			"  ringcast sub events.jobs.42 --from oldest --format raw\n" +
			"  ringcast sub 'events.quotes.*' --format json --count 10",
		Args: args(1, -1),
	}
	var t tail
	flags := cmd.Flags()
	t.url = addURLFlag(flags)
	t.caller = addTokenFlag(flags)
	flags.StringVar(&t.from, "from", "now", "where to begin: now, oldest, last (of each subject), an id, an RFC 3339 time, or a duration back such as 5m")
	flags.StringVar(&t.lastEventID, "last-event-id", "", "begin after this event, as a client that reconnects does; wins over --from")
	flags.StringSliceVar(&t.types, "type", nil, "only events of these types")
	flags.StringVar(&t.format, "format", formatText, "how to print an event: text, json (CloudEvents, one a line) or raw (the data alone)")
	flags.IntVar(&t.count, "count", 0, "end after this many events; 0 for no end")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		t.subjects = args
		if err := t.check(); err != nil {
			return err
		}
		return t.run(cmd)
	}
	return cmd
}

func (t *tail) check() error {
	if _, err := broker.NewFilter(t.subjects, t.types); err != nil {
		return usageError{err}
	}
	if _, err := broker.ParseFrom(t.from, time.Now()); err != nil {
		return usagef("--from: %w", err)
	}
	switch t.format {
	case formatText, formatJSON, formatRaw:
	default:
		return usagef("--format %q is unknown: allowed is text, json or raw", t.format)
	}
	if t.count < 0 {
		return usagef("--count %d is negative: allowed is 0 for no end, or more", t.count)
	}
	return nil
}

// errEnough ends a tail that has printed what it was asked for.
var errEnough = errors.New("enough events")

func (t *tail) run(cmd *cobra.Command) error {
	target, err := t.target()
	if err != nil {
		return err
	}
	defer t.caller.close()
	client := sse.Client{
		URL:         target.String(),
		HTTP:        t.caller.client(),
		LastEventID: t.lastEventID,
		OnRetry:     func(cause error, wait time.Duration) { tellRetry(cmd.ErrOrStderr(), cause, wait) },
	}
	printer := printer{format: t.format, count: t.count, out: cmd.OutOrStdout(), notes: cmd.ErrOrStderr()}
	err = client.Run(cmd.Context(), printer.print)
	if errors.Is(err, errEnough) || errors.Is(err, context.Canceled) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("follow: %w", withoutURL(err))
	}
	return nil
}

// target returns the stream's URL. Only CloudEvents tell the subject; the raw
// format is the only one that carries every byte of the data.
func (t *tail) target() (*url.URL, error) {
	target, err := t.url.join("v1", "stream")
	if err != nil {
		return nil, err
	}
	query := url.Values{"subject": t.subjects, "from": {t.from}, "format": {"cloudevents"}}
	if t.format == formatRaw {
		query.Set("format", "raw")
	}
	if len(t.types) > 0 {
		query["type"] = t.types
	}
	target.RawQuery = query.Encode()
	return target, nil
}

// tellRetry says why a connection is made again, but for a clean end of the stream:
// the gateway ends one so when its subjects are finished, which is what the next
// attempt is told.
func tellRetry(w io.Writer, cause error, wait time.Duration) {
	if cause == io.EOF {
		return
	}
	fmt.Fprintf(w, "ringcast: %s; trying again in %s\n", oneLine(withoutURL(cause)), wait.Round(time.Millisecond))
}

// printer prints the messages of a stream.
type printer struct {
	format     string
	count      int // 0 for no end
	printed    int
	out, notes io.Writer
}

// print prints one message, and returns errEnough after the last one wanted.
func (p *printer) print(m sse.Message) error {
	if m.Type == sse.GapEvent {
		return p.printGap(m)
	}
	if err := p.printEvent(m); err != nil {
		return err
	}
	p.printed++
	if p.printed == p.count {
		return errEnough
	}
	return nil
}

func (p *printer) printEvent(m sse.Message) error {
	if p.format != formatText {
		_, err := fmt.Fprintf(p.out, "%s\n", m.Data)
		return err
	}
	var e struct {
		Subject string          `json:"subject"`
		Data    json.RawMessage `json:"data"`
		Base64  string          `json:"data_base64"`
		Media   string          `json:"datacontenttype"`
	}
	if err := json.Unmarshal(m.Data, &e); err != nil {
		return fmt.Errorf("read event %s: %w", m.LastEventID, err)
	}
	data := string(e.Data)
	switch {
	case e.Base64 != "":
		data = "base64:" + e.Base64
	case e.Media == "text/plain":
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return fmt.Errorf("read event %s: %w", m.LastEventID, err)
		}
	}
	_, err := fmt.Fprintf(p.out, "%s  %s  %s  %s\n", m.LastEventID, printable(e.Subject), printable(m.Type), printable(data))
	return err
}

// printable returns text as it is where it is one line that a terminal prints and
// does not obey, and else in quotes with escapes: a payload may be anybody's.
func printable(text string) string {
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && r != '\t' }) {
		return fmt.Sprintf("%q", text)
	}
	return text
}

// printGap tells on standard error that events are lost, whatever the format, so
// that it is seen and no reader of the output takes it for an event.
func (p *printer) printGap(m sse.Message) error {
	var gap struct{ Reason, Requested, Oldest string }
	if err := json.Unmarshal(m.Data, &gap); err != nil {
		return fmt.Errorf("read gap event: %w", err)
	}
	why := map[string]string{
		string(broker.GapExpired): "events after it are no longer held",
		string(broker.GapReset):   "it is not of this stream, which was replaced or rewound",
		string(broker.GapUnknown): "it is not an id",
	}[gap.Reason]
	_, err := fmt.Fprintf(p.notes, "ringcast: GAP (%s) after %q: %s; oldest event held: %s\n", gap.Reason, gap.Requested, why, gap.Oldest)
	return err
}
