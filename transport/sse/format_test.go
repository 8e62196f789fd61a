package sse_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"ringcast/broker"
	"ringcast/transport/sse"
)

func TestParseFormat(t *testing.T) {
	for name, want := range map[string]sse.Format{"": sse.Raw, "raw": sse.Raw, "cloudevents": sse.CloudEvents, "json": sse.JSON} {
		if got, err := sse.ParseFormat(name); err != nil || got != want {
			t.Errorf("ParseFormat(%q) = %v, %v, want %v", name, got, err, want)
		}
	}
	for _, f := range []sse.Format{sse.Raw, sse.CloudEvents, sse.JSON} {
		if got, err := sse.ParseFormat(f.String()); err != nil || got != f {
			t.Errorf("ParseFormat(%q) = %v, %v", f, got, err)
		}
	}
	for _, name := range []string{"RAW", "cloudevent", "jsonl", " raw"} {
		_, err := sse.ParseFormat(name)
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "raw, cloudevents or json") {
			t.Errorf("ParseFormat(%q): error %v names neither it nor what is possible", name, err)
		}
	}
}

func TestAppendJSON(t *testing.T) {
	const head = `{"id":"42-XX","subject":"events.quotes.ACME","type":`
	for _, c := range []struct{ name, typ, data, want string }{
		{"text", "trade", "a\n\"b\"", `"trade","time":"2026-11-21T04:00:00.123456789Z","data":"a\n\"b\""}`},
		{"no name", "", "x", `"message","time":"2026-11-21T04:00:00.123456789Z","data":"x"}`},
		{"empty", "t", "", `"t","time":"2026-11-21T04:00:00.123456789Z","data":""}`},
		{"JSON stays a string", "t", "{}", `"t","time":"2026-11-21T04:00:00.123456789Z","data":"{}"}`},
		{"not UTF-8", "t", "\xff", `"t","time":"2026-11-21T04:00:00.123456789Z","data_base64":"/w=="}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := strings.Replace(head, "42-XX", id42.String(), 1) + c.want
			if got := string(sse.AppendJSON(nil, event(c.typ, c.data))); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
	t.Run("no time without a stamp", func(t *testing.T) {
		e := &broker.Event{ID: broker.ID{Seq: 7, Stamp: broker.NoStamp}, Subject: "a"}
		if got, want := string(sse.AppendJSON(nil, e)), `{"id":"7","subject":"a","type":"message","data":""}`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// A stream name may hold what a URN may not (RFC 8141, section 2).
func TestSource(t *testing.T) {
	for stream, want := range map[string]string{
		"EVENTS": "urn:ringcast:EVENTS",
		"a b/ü%": "urn:ringcast:a%20b%2F%C3%BC%25",
	} {
		got := sse.Source(stream)
		if got != want {
			t.Errorf("Source(%q) = %q, want %q", stream, got, want)
		}
		if _, err := url.Parse(got); err != nil {
			t.Error(err)
		}
	}
}

// FuzzFormats: every format's object is valid JSON in one line that carries the
// payload back, and its strings are those of encoding/json.
func FuzzFormats(f *testing.F) {
	for _, data := range []string{"", "hello", `{"a": [1, "\ud800"]}`, " 12 ", "null", "\xff", `"` + "\xff" + `"`, "\u2028<>&\x00\x7f", "\ufeff1"} {
		f.Add("trade", "a.b", []byte(data), "urn:ringcast:EVENTS")
	}
	f.Fuzz(func(t *testing.T, typ, subject string, data []byte, source string) {
		e := &broker.Event{ID: id42, Subject: subject, Type: typ, Data: data}
		page, cloud := sse.AppendJSON(nil, e), sse.AppendCloudEvent(nil, e, source)
		checkPageObject(t, e, page)
		checkCloudEvent(t, e, source, cloud)
		checkGap(t, &broker.Gap{Reason: broker.GapUnknown, Requested: subject, Oldest: id42})
		if broker.ValidateType(typ) != nil {
			e.Type = "" // no frame can name it
			page, cloud = sse.AppendJSON(nil, e), sse.AppendCloudEvent(nil, e, source)
		}
		checkFrame(t, e, cloud, sse.CloudEvents.AppendFrame(nil, e, source))
		if !utf8.Valid(data) {
			checkFrame(t, e, page, sse.Raw.AppendFrame(nil, e, source))
		}
	})
}

// checkFrame checks that frame is one event with the object as its data.
func checkFrame(t *testing.T, e *broker.Event, object, frame []byte) {
	want := []sse.Message{{Type: e.TypeOrDefault(), Data: object, LastEventID: e.ID.String()}}
	if diff := cmp.Diff(want, readAll(t, sse.NewDecoder(bytes.NewReader(frame)))); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

func checkGap(t *testing.T, g *broker.Gap) {
	object := sse.AppendGapJSON(nil, g)
	var members map[string]json.RawMessage
	unmarshal(t, object, &members)
	sameString(t, members["reason"], string(g.Reason))
	sameString(t, members["requested"], g.Requested)
	sameString(t, members["oldest"], g.Oldest.String())
	if len(members) != 3 {
		t.Errorf("%s: members beyond those of a gap", object)
	}
}

// unmarshal reads one object, refusing members that want does not have.
func unmarshal(t *testing.T, object []byte, want any) {
	t.Helper()
	if bytes.ContainsAny(object, "\r\n") || !utf8.Valid(object) {
		t.Fatalf("%q is not one line of UTF-8", object)
	}
	dec := json.NewDecoder(bytes.NewReader(object))
	dec.DisallowUnknownFields()
	if err := dec.Decode(want); err != nil {
		t.Fatalf("%q: %v", object, err)
	}
	if dec.More() {
		t.Fatalf("%q: more than one value", object)
	}
}

func checkPageObject(t *testing.T, e *broker.Event, object []byte) {
	var got struct {
		ID                  broker.ID
		Subject, Type, Data json.RawMessage
		Time                time.Time
		DataBase64          []byte `json:"data_base64"`
	}
	unmarshal(t, object, &got)
	if got.ID != e.ID || !got.Time.Equal(e.Time()) {
		t.Errorf("%s: id or time of another event", object)
	}
	sameString(t, got.Subject, e.Subject)
	sameString(t, got.Type, e.TypeOrDefault())
	switch {
	case !utf8.Valid(e.Data):
		if got.Data != nil || !bytes.Equal(got.DataBase64, e.Data) {
			t.Errorf("%s: want data_base64 of %q alone", object, e.Data)
		}
	default:
		sameString(t, got.Data, string(e.Data))
	}
}

// sameString compares a JSON string with what encoding/json makes of s.
func sameString(t *testing.T, got json.RawMessage, s string) {
	t.Helper()
	want, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("string %s, want %s", got, want)
	}
}

func checkCloudEvent(t *testing.T, e *broker.Event, source string, object []byte) {
	var members map[string]json.RawMessage
	unmarshal(t, object, &members)
	sameString(t, members["specversion"], "1.0")
	sameString(t, members["id"], e.ID.String())
	sameString(t, members["source"], source)
	sameString(t, members["type"], e.TypeOrDefault())
	sameString(t, members["subject"], e.Subject)
	sameString(t, members["time"], e.Time().Format(time.RFC3339Nano))
	contentType, data, base64Data := cloudData(t, e.Data)
	for name, want := range map[string][]byte{"datacontenttype": contentType, "data": data, "data_base64": base64Data} {
		if got, ok := members[name]; ok != (want != nil) || !bytes.Equal(got, want) {
			t.Errorf("%s: %s is %s, want %s", object, name, got, want)
		}
		delete(members, name)
	}
	if len(members) != 6 {
		t.Errorf("%s: members beyond those of the format", object)
	}
}

// cloudData returns what section 3.1 of the CloudEvents JSON format makes of a
// payload, nil for a member that is not there.
func cloudData(t *testing.T, payload []byte) (contentType, data, base64Data []byte) {
	t.Helper()
	switch {
	case len(payload) == 0:
		return nil, nil, nil
	case !utf8.Valid(payload):
		return []byte(`"application/octet-stream"`), nil, []byte(`"` + base64.StdEncoding.EncodeToString(payload) + `"`)
	case json.Valid(payload):
		var compact bytes.Buffer
		if err := json.Compact(&compact, payload); err != nil {
			t.Fatal(err)
		}
		return []byte(`"application/json"`), compact.Bytes(), nil
	}
	text, err := json.Marshal(string(payload))
	if err != nil {
		t.Fatal(err)
	}
	return []byte(`"text/plain"`), text, nil
}
