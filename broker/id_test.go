package broker_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"

	"ringcast/broker"
)

func TestParseID(t *testing.T) {
	for text, want := range map[string]broker.ID{
		"0-0":                                {},
		"0":                                  {Stamp: broker.NoStamp},
		"1042":                               {Seq: 1042, Stamp: broker.NoStamp},
		"1042-0":                             {Seq: 1042},
		"7-z":                                {Seq: 7, Stamp: 35},
		"7-10":                               {Seq: 7, Stamp: 36},
		"1042-c1pzq4f8k2m0":                  {Seq: 1042, Stamp: 1585756389407501880},
		"18446744073709551615":               {Seq: math.MaxUint64, Stamp: broker.NoStamp},
		"18446744073709551615-1y2p0ij32e8e7": {Seq: math.MaxUint64, Stamp: math.MaxInt64},
	} {
		got, err := broker.ParseID(text)
		if err != nil || got != want {
			t.Errorf("ParseID(%q) = %+v, %v, want %+v", text, got, err, want)
		}
		if got.String() != text {
			t.Errorf("%q is written as %q", text, got)
		}
	}
}

// An id has one spelling: what ParseUint and ParseInt take beyond it is no id.
func TestParseID_refuses(t *testing.T) {
	for _, text := range []string{
		"", "-", "-0", "-1", "1-", "1--1", "1-1-1", "1-2-", "+1", "1-+1", "1--0",
		"007", "00", "1-01", "1-00", "1-A", "1-C1PZQ4F8K2M0", "0x1", "1_000", "1e3", "1.0",
		" 1", "1 ", "1\n", "1-1\n", "\"1\"", "１", "1-é", "1\x00", "1042-c1pzq4f8k2m0,", "1042 - 1",
		"18446744073709551616", "1-1y2p0ij32e8e8", strings.Repeat("1", 21), "1-" + strings.Repeat("1", 14), strings.Repeat("9", 1<<20),
	} {
		if id, err := broker.ParseID(text); err != broker.ErrBadID || id != (broker.ID{}) {
			t.Errorf("ParseID(%.40q) = %+v, %v, want ErrBadID", text, id, err)
		}
	}
}

// The longest id has MaxIDLen bytes, and every byte may stand in a CORS-safelisted
// header, a URL's query and a bare file name.
func TestID_String_is_safe_everywhere(t *testing.T) {
	longest := broker.ID{Seq: math.MaxUint64, Stamp: math.MaxInt64}.String()
	if len(longest) != broker.MaxIDLen || broker.MaxIDLen >= 128 {
		t.Errorf("the longest id has %d bytes, MaxIDLen is %d", len(longest), broker.MaxIDLen)
	}
	if !regexp.MustCompile(`^[0-9a-z-]+$`).MatchString(longest) {
		t.Errorf("%q", longest)
	}
}

func TestID_AppendText_appends(t *testing.T) {
	if got := string(broker.ID{Seq: 7, Stamp: 36}.AppendText([]byte("id: "))); got != "id: 7-10" {
		t.Errorf("got %q", got)
	}
}

func TestID_JSON(t *testing.T) {
	type object struct {
		ID  broker.ID            `json:"id"`
		Map map[broker.ID]string `json:"map"`
	}
	in := object{broker.ID{Seq: 7, Stamp: 36}, map[broker.ID]string{{Seq: 8, Stamp: broker.NoStamp}: "x"}}
	text, err := json.Marshal(in)
	if want := `{"id":"7-10","map":{"8":"x"}}`; err != nil || string(text) != want {
		t.Fatalf("%s, %v, want %s", text, err, want)
	}
	var out object
	if err := json.Unmarshal(text, &out); err != nil || out.ID != in.ID || out.Map[broker.ID{Seq: 8, Stamp: broker.NoStamp}] != "x" {
		t.Errorf("%+v, %v", out, err)
	}
	if err := json.Unmarshal([]byte(`{"id":"07"}`), &out); !errors.Is(err, broker.ErrBadID) {
		t.Errorf("error %v, want ErrBadID", err)
	}
}

func TestID_Time(t *testing.T) {
	at := time.Date(2026, 11, 21, 4, 0, 0, 123456789, time.UTC)
	if got := (broker.ID{Seq: 1, Stamp: at.UnixNano()}).Time(); !got.Equal(at) || got.Location() != time.UTC {
		t.Errorf("%v, want %v", got, at)
	}
	for _, id := range []broker.ID{{}, {Seq: 1, Stamp: broker.NoStamp}} {
		if got := id.Time(); !got.IsZero() {
			t.Errorf("%v has the time %v", id, got)
		}
	}
}

func TestID_Same(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"7-10", "7-10", true},
		{"7-10", "7", true},
		{"7", "7", true},
		{"7-10", "7-11", false},
		{"7-10", "8-10", false},
		{"7", "8", false},
		{"0-0", "0-1", false},
		{"7-0", "7-1", false}, // a stamp of zero is one, not none
	} {
		a, b := mustParseID(t, c.a), mustParseID(t, c.b)
		if a.Same(b) != c.want || b.Same(a) != c.want {
			t.Errorf("%s and %s: same %v and %v, want %v", a, b, a.Same(b), b.Same(a), c.want)
		}
	}
}

func mustParseID(t *testing.T, text string) broker.ID {
	t.Helper()
	id, err := broker.ParseID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

var idPattern = regexp.MustCompile(`^(0|[1-9][0-9]*)(?:-(0|[1-9a-z][0-9a-z]*))?$`)

// isID is the oracle of FuzzParseID: the grammar, and the ranges by exact
// arithmetic.
func isID(text string) bool {
	m := idPattern.FindStringSubmatch(text)
	if m == nil || strings.HasSuffix(text, "\n") {
		return false
	}
	seq, _ := new(big.Int).SetString(m[1], 10)
	if !seq.IsUint64() {
		return false
	}
	if m[2] == "" {
		return true
	}
	stamp, _ := new(big.Int).SetString(m[2], 36)
	return stamp.IsInt64()
}

// FuzzParseID: exactly the ids are read, and each is written as it was read.
func FuzzParseID(f *testing.F) {
	for _, text := range []string{"0-0", "1042", "1042-c1pzq4f8k2m0", "18446744073709551615-1y2p0ij32e8e7", "18446744073709551616", "1-1y2p0ij32e8e8", "01", "1-A", "+1", "1-", "1--1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := broker.ParseID(text)
		if (err == nil) != isID(text) {
			t.Fatalf("ParseID(%q) = %v, %v", text, id, err)
		}
		if err != nil {
			if err != broker.ErrBadID || id != (broker.ID{}) {
				t.Fatalf("ParseID(%q) = %v, %v", text, id, err)
			}
			return
		}
		if again, err := broker.ParseID(id.String()); err != nil || again != id || id.String() != text {
			t.Fatalf("%q is read as %v and then as %v, %v", text, id, again, err)
		}
	})
}

// FuzzID_String: every id is read back as it was.
func FuzzID_String(f *testing.F) {
	f.Add(uint64(0), int64(0))
	f.Add(uint64(math.MaxUint64), int64(math.MaxInt64))
	f.Add(uint64(1), broker.NoStamp)
	f.Fuzz(func(t *testing.T, seq uint64, stamp int64) {
		id := broker.ID{Seq: seq, Stamp: max(stamp, broker.NoStamp)}
		if got, err := broker.ParseID(id.String()); err != nil || got != id {
			t.Fatalf("%+v is written as %q and read as %+v, %v", id, id, got, err)
		}
	})
}
