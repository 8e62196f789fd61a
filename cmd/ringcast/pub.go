package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ringcast/broker"
)

// publishTimeout bounds one publication: the gateway's own limits are shorter.
const publishTimeout = time.Minute

// publication is what the flags and arguments of `ringcast pub` say.
type publication struct {
	url          *gatewayURL
	caller       *caller
	subject      string
	event, key   string
	end, byLines bool
}

func newPub() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pub SUBJECT [DATA|-]",
		Short: "Publish an event through a gateway",
		Long: "Publish an event through a gateway and print its id once it is stored.\n" +
			"Without DATA, or with -, the data is read from standard input.",
		Example: "  ringcast pub events.hello 'Hello, world'\n" +
			"  ringcast pub events.jobs.42 --event done --end < result.json\n" +
			"  tail -f app.log | ringcast pub events.log --lines",
		Args: args(1, 2),
	}
	var p publication
	flags := cmd.Flags()
	p.url = addURLFlag(flags)
	p.caller = addTokenFlag(flags)
	flags.StringVar(&p.event, "event", "", "the event's type")
	flags.BoolVar(&p.end, "end", false, "mark the event as the last of its subject")
	flags.StringVar(&p.key, "id", "", "an id of your own: a second event with the same one is not stored again")
	flags.BoolVar(&p.byLines, "lines", false, "publish each line of standard input as an event")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p.subject = args[0]
		if err := p.check(args[1:]); err != nil {
			return err
		}
		return p.run(cmd, args[1:])
	}
	return cmd
}

func (p *publication) check(data []string) error {
	if err := broker.ValidateSubject(p.subject); err != nil {
		return usageError{err}
	}
	if p.event != "" {
		if err := broker.ValidateType(p.event); err != nil {
			return usagef("--event: %w", err)
		}
	}
	switch {
	case p.byLines && len(data) > 0 && data[0] != "-":
		return usagef("--lines reads standard input: leave %q out", data[0])
	case p.byLines && p.key != "":
		return usagef("--lines with --id: every line after the first would be a duplicate")
	case p.byLines && p.end:
		return usagef("--lines with --end: only one event is the last")
	}
	return nil
}

func (p *publication) run(cmd *cobra.Command, data []string) error {
	target, err := p.url.join("v1", "publish", p.subject)
	if err != nil {
		return err
	}
	client := &publishClient{target: target.String(), http: p.caller.client()}
	defer p.caller.close()
	switch {
	case p.byLines:
		return p.publishLines(cmd, client)
	case len(data) > 0 && data[0] != "-":
		return p.publish(cmd, client, []byte(data[0]))
	}
	input, err := io.ReadAll(cmd.InOrStdin())
	if err != nil {
		return fmt.Errorf("read standard input: %w", err)
	}
	return p.publish(cmd, client, input)
}

// publishLines publishes each line, without its line end, as soon as it is there.
func (p *publication) publishLines(cmd *cobra.Command, client *publishClient) error {
	input := bufio.NewReader(cmd.InOrStdin())
	for n := 1; ; n++ {
		line, err := input.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return fmt.Errorf("read standard input: %w", err)
		}
		if err == io.EOF && len(line) == 0 {
			return nil
		}
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if err := p.publish(cmd, client, line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
}

func (p *publication) publish(cmd *cobra.Command, client *publishClient, data []byte) error {
	stored, err := client.publish(cmd.Context(), p, data)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if stored.Duplicate {
		fmt.Fprintf(cmd.ErrOrStderr(), "ringcast: stored before with the id %q: not stored again\n", p.key)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), stored.ID)
	return err
}

// publishClient makes the publish calls.
type publishClient struct {
	target string
	http   *http.Client
}

// published is the gateway's answer.
type published struct {
	ID        string `json:"id"`
	Duplicate bool   `json:"duplicate"`
}

func (c *publishClient) publish(ctx context.Context, p *publication, data []byte) (published, error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.target, bytes.NewReader(data))
	if err != nil {
		return published{}, err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	for name, value := range map[string]string{"Ringcast-Event": p.event, "Idempotency-Key": p.key} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	if p.end {
		req.Header.Set("Ringcast-End", "true")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return published{}, withoutURL(err)
	}
	defer resp.Body.Close()
	return readPublished(resp)
}

// maxAnswer bounds what is read of an answer, whoever gives it.
const maxAnswer = 64 << 10

func readPublished(resp *http.Response) (published, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return published{}, fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return published{}, refusal(resp, body)
	}
	var p published
	if err := json.Unmarshal(body, &p); err != nil || p.ID == "" {
		return published{}, errors.New("the answer is not a gateway's: no id in it")
	}
	return p, nil
}

// refusal returns what an application/problem+json (RFC 9457) says, or the status
// alone.
func refusal(resp *http.Response, body []byte) error {
	var problem struct{ Title, Detail string }
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") {
		_ = json.Unmarshal(body, &problem) // what cannot be read is left empty
	}
	switch {
	case problem.Detail != "":
		return fmt.Errorf("%s (%s)", problem.Detail, resp.Status)
	case problem.Title != "" && !strings.Contains(resp.Status, problem.Title):
		return fmt.Errorf("%s (%s)", problem.Title, resp.Status)
	}
	return fmt.Errorf("the gateway answered %s", resp.Status)
}

// withoutURL drops the method and URL that net/http puts before an error.
func withoutURL(err error) error {
	if urlErr := (*url.Error)(nil); errors.As(err, &urlErr) {
		return urlErr.Err
	}
	return err
}
