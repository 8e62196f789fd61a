package broker_test

import (
	"strings"
	"testing"
	"time"

	"ringcast/broker"
)

func TestValidateType(t *testing.T) {
	longest := strings.Repeat("x", broker.MaxTypeLen)
	for typ, want := range map[string]string{ // the error holds this; empty for none
		"add":             "",
		"message":         "",
		"größe 😀":         "",
		" a:b, c ":        "",
		"ringcast":        "",
		"ringcastx":       "",
		"my.ringcast.gap": "",
		"Ringcast.gap":    "",
		longest:           "",
		longest + "x":     "129 bytes: 128",
		"":                "empty",
		"\xff":            "not UTF-8",
		"a\nid: 7":        "control character",
		"a\r":             "control character",
		"a\x00":           "control character",
		"a\t":             "control character",
		"a\x7f":           "control character",
		"a\u0085b":        "control character",
		"a\u2028b":        "line separator",
		"a\u2029b":        "line separator",
		"ringcast.":       "reserved",
		"ringcast.gap":    "reserved",
	} {
		checkError(t, "ValidateType", typ, broker.ValidateType(typ), want)
	}
}

func TestEvent(t *testing.T) {
	at := time.Date(2026, 11, 21, 4, 0, 0, 1, time.UTC)
	e := broker.Event{ID: broker.ID{Seq: 1, Stamp: at.UnixNano()}, Subject: "a.bc", Type: "add", Data: []byte("12345")}
	if got := e.Time(); !got.Equal(at) {
		t.Errorf("time %v, want %v", got, at)
	}
	if got := e.Size(); got != 4+3+5 {
		t.Errorf("size %d", got)
	}
	if got := e.TypeOrDefault(); got != "add" {
		t.Errorf("type %q", got)
	}
	e.Type = ""
	if got := e.TypeOrDefault(); got != "message" {
		t.Errorf("type %q where none was given", got)
	}
}
