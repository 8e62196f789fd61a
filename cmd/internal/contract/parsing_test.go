package contract_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// interpretation is what a stream says.
type interpretation struct {
	name   string
	listen []string
	chunks []string
	want   []report
}

func one(text string) []string { return []string{text} }

const bom = "\uFEFF"

// The harness's "basic parsing".
var basics = []interpretation{
	{"one line in one chunk", nil, one("data: Hello\n\n"), []report{message("Hello")}},
	{"one line in two chunks", nil, []string{"data: Hel", "lo\n\n"}, []report{message("Hello")}},
	{"two messages in one chunk", nil, one("data: Hello\n\ndata: World\n\n"), []report{message("Hello"), message("World")}},
	{"one message of two lines", nil, one("data: Hello\ndata:World\n\n"), []report{message("Hello\nWorld")}},
	{"empty data", nil, one("data:\n\n"), []report{message("")}},
	{"type", one("greeting"), one("event: greeting\ndata: Hello\n\n"), []report{typed("greeting", "Hello", "")}},
	{"id", nil, one("id: abc\ndata: Hello\n\n"), []report{typed("message", "Hello", "abc")}},
	{"type and id", one("greeting"), one("event: greeting\nid: abc\ndata: Hello\n\n"), []report{typed("greeting", "Hello", "abc")}},
	{"id with NUL in it", nil, one("id: a\x00bc\ndata: Hello\n\n"), []report{message("Hello")}},
	{"id stays", nil, []string{"id: abc\ndata: a\n\n", "data: b\n\n"}, []report{typed("message", "a", "abc"), typed("message", "b", "abc")}},
	{"id taken back", nil, []string{"id: abc\ndata: a\n\n", "id: \ndata: b\n\n"}, []report{typed("message", "a", "abc"), message("b")}},
	{"fields in reverse", one("greeting"), one("data: Hello\nid: abc\nevent: greeting\n\n"), []report{typed("greeting", "Hello", "abc")}},
	{"unknown field", one("greeting"), one("event: greeting\ncolor: blue\ndata: Hello\n\n"), []report{typed("greeting", "Hello", "")}},
	{"no leading space", one("greeting"), one("event:greeting\ndata:Hello\n\n"), []report{typed("greeting", "Hello", "")}},
	{"two leading spaces", one(" greeting"), one("event:  greeting\ndata:  Hello\n\n"), []report{typed(" greeting", " Hello", "")}},
	{"no colon", nil, one("data\n\ndata\ndata\n\n"), []report{message(""), message("\n")}},
	{"characters of many bytes", nil, one("data: €豆腐\n\n"), []report{message("€豆腐")}},
	{"characters of many bytes, byte by byte", nil, pieces("data: €豆腐\n\n", 1), []report{message("€豆腐")}},
}

// The harness's "comments": reported at the end of the line, for nothing else may
// follow. The text keeps its spaces.
var comments = []interpretation{
	{"one", nil, one(":Hello\n"), []report{comment("Hello")}},
	{"two", nil, []string{":Hello\n", ":World\n"}, []report{comment("Hello"), comment("World")}},
	{"before an event", nil, []string{":Hello\n", "data: Hello\n\n"}, []report{comment("Hello"), message("Hello")}},
	{"after an event", nil, []string{"data: Hello\n\n", ":Hello\n"}, []report{message("Hello"), comment("Hello")}},
	{"inside an event", nil, one("data: a\n: b:c \ndata: d\n\n"), []report{comment(" b:c "), message("a\nd")}},
	{"empty", nil, one(":\n"), []report{comment("")}},
}

// The harness's "bom": one is taken off, at the start of the stream alone.
var byteOrderMarks = []interpretation{
	{"at the start", nil, one(bom + "data: Hello\n\n"), []report{message("Hello")}},
	{"before type and id", one("greeting"), one(bom + "event: greeting\nid: abc\ndata: Hello\n\n"), []report{typed("greeting", "Hello", "abc")}},
	{"before two messages", nil, one(bom + "data: a\n\ndata: b\n\n"), []report{message("a"), message("b")}},
	{"later", nil, []string{"data: a\n\n", "data: " + bom + "b\n\n"}, []report{message("a"), message(bom + "b")}},
	{"in two chunks", nil, []string{bom[:2], bom[2:] + "data: Hello\n\n"}, []report{message("Hello")}},
	{"in three chunks", nil, []string{bom[:1], bom[1:2], bom[2:], "data: Hello\n\n"}, []report{message("Hello")}},
	{"twice", nil, one(bom + "data: " + bom + "Hello\n\n"), []report{message(bom + "Hello")}},
	{"before two lines", nil, one(bom + "data: a\ndata: b\n\n"), []report{message("a\nb")}},
	{"before a comment", nil, one(bom + ":comment\ndata: Hello\n\n"), []report{comment("comment"), message("Hello")}},
	{"before empty data", nil, one(bom + "data:\n\n"), []report{message("")}},
	{"none", nil, one("data: Hello\n\n"), []report{message("Hello")}},
}

// The harness's "linefeeds": each stream with each line end, in one chunk and in
// small ones.
func linefeeds() (all []interpretation) {
	for _, end := range []string{"\n", "\r\n", "\r"} {
		for _, c := range []interpretation{
			{"one line", nil, one("data: 1\n\n"), []report{message("1")}},
			{"one line, then two", nil, one("data: 1\n\ndata: 2 1\ndata: 2 2\n\n"), []report{message("1"), message("2 1\n2 2")}},
			{"an empty line first", nil, one("data:\ndata: 2\ndata: 3\n\n"), []report{message("\n2\n3")}},
			{"an empty line between", nil, one("data: 1\ndata:\ndata: 3\n\n"), []report{message("1\n\n3")}},
			{"one blank line more", nil, one("data: 1\n\n\ndata: 2\n\n"), []report{message("1"), message("2")}},
			{"two blank lines more", nil, one("data: 1\n\n\n\ndata: 2\n\n"), []report{message("1"), message("2")}},
		} {
			text := strings.ReplaceAll(c.chunks[0], "\n", end)
			for _, size := range []int{len(text), 1, 2} {
				all = append(all, interpretation{fmt.Sprintf("%s, %q, %d at a time", c.name, end, size), nil, pieces(text, size), c.want})
			}
		}
	}
	return append(all, interpretation{
		"CRLF in two chunks", nil,
		[]string{"data: Hello\r", "\ndata: World\r", "\n\r\ndata: OK\r", "\n", "\r", "\n"},
		[]report{message("Hello\nWorld"), message("OK")},
	})
}

func TestContract_Parsing(t *testing.T) {
	s := start(t, io.Discard)
	for group, cases := range map[string][]interpretation{
		"basics": basics, "comments": comments, "byte order marks": byteOrderMarks, "linefeeds": linefeeds(),
	} {
		for _, c := range cases {
			t.Run(group+"/"+c.name, func(t *testing.T) {
				f := s.follow(t, nil)
				stream := f.connected()
				for _, typ := range c.listen {
					f.listenFor(typ)
				}
				stream.send(c.chunks...)
				f.reported(c.want...)
				stream.cut()
				f.failed() // and nothing else before
			})
		}
	}
}

// "Many messages in rapid succession".
func TestContract_Parsing_order(t *testing.T) {
	f := start(t, io.Discard).follow(t, nil)
	var text strings.Builder
	var want []report
	for i := range 100 {
		data := fmt.Sprint("message ", i)
		text.WriteString("data: " + data + "\n\n")
		want = append(want, message(data))
	}
	f.connected().send(text.String())
	f.reported(want...)
}

// Of the other types those listened for are passed on.
func TestContract_Listen(t *testing.T) {
	f := start(t, io.Discard).follow(t, nil)
	f.listenFor("b")
	f.connected().send("event: a\ndata: 1\nid: 1\n\nevent: b\ndata: 2\n\ndata: 3\n\n")
	f.reported(typed("b", "2", "1"), typed("message", "3", "1"))
}
