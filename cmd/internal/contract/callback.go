package contract

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"ringcast/transport/sse"
)

// callbacks reports what a client sees. It belongs to one goroutine. A report once
// ctx is done is not made.
type callbacks struct {
	url  string
	http *http.Client
	log  *slog.Logger
	sent int
}

func (c *callbacks) event(ctx context.Context, m sse.Message) {
	c.report(ctx, map[string]any{"kind": "event", "event": map[string]string{
		"type": m.Type,
		"data": string(m.Data),
		"id":   m.LastEventID,
	}})
}

func (c *callbacks) comment(ctx context.Context, text string) {
	c.report(ctx, map[string]any{"kind": "comment", "comment": text})
}

func (c *callbacks) error(ctx context.Context, err error) {
	c.report(ctx, map[string]any{"kind": "error", "error": err.Error()})
}

func (c *callbacks) report(ctx context.Context, what map[string]any) {
	c.sent++
	if err := c.post(ctx, what); err != nil && ctx.Err() == nil {
		c.log.Warn("callback failed", "number", c.sent, "error", err)
	}
}

func (c *callbacks) post(ctx context.Context, what map[string]any) error {
	body, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("encode callback: %w", err)
	}
	to := strings.TrimSuffix(c.url, "/") + "/" + strconv.Itoa(c.sent)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make callback: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return fmt.Errorf("post callback: answered %s", resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
