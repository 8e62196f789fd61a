package sse

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"time"
	"unicode/utf8"

	"ringcast/broker"
)

// AppendJSON appends e as the JSON object that a page of events is made of:
//
//	{"id":"…","subject":"…","type":"…","time":"…","data":"…"}
//
// The type is "message" where the producer named none, the time is RFC 3339 in
// UTC to the nanosecond (left out where the id carries none), and data is the
// payload as a string, or data_base64 where it is not UTF-8. The object holds no
// line end.
func AppendJSON(dst []byte, e *broker.Event) []byte {
	dst = append(dst, `{"id":"`...)
	dst = e.ID.AppendText(dst)
	dst = append(dst, `","subject":`...)
	dst = AppendString(dst, e.Subject)
	dst = append(dst, `,"type":`...)
	dst = AppendString(dst, e.TypeOrDefault())
	dst = appendTime(dst, e)
	if utf8.Valid(e.Data) {
		dst = append(dst, `,"data":`...)
		dst = AppendString(dst, e.Data)
	} else {
		dst = appendBase64(dst, e.Data)
	}
	return append(dst, '}')
}

// Source returns the CloudEvents source of a stream's events, a URN with the
// stream's name percent-encoded: "urn:ringcast:EVENTS".
func Source(stream string) string { return "urn:ringcast:" + url.PathEscape(stream) }

// AppendCloudEvent appends e in the JSON event format of CloudEvents 1.0
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md).
// source is a URI reference (see Source). By section 3.1 of the format:
//   - a payload that is JSON becomes data as that very value, without the white
//     space between its tokens, under application/json;
//   - any other UTF-8 becomes data as a string, under text/plain;
//   - any other bytes become data_base64, under application/octet-stream;
//   - an empty payload leaves data and datacontenttype out.
//
// The object holds no line end.
func AppendCloudEvent(dst []byte, e *broker.Event, source string) []byte {
	dst = append(dst, `{"specversion":"1.0","id":"`...)
	dst = e.ID.AppendText(dst)
	dst = append(dst, `","source":`...)
	dst = AppendString(dst, source)
	dst = append(dst, `,"type":`...)
	dst = AppendString(dst, e.TypeOrDefault())
	dst = append(dst, `,"subject":`...)
	dst = AppendString(dst, e.Subject)
	dst = appendTime(dst, e)
	dst = appendCloudData(dst, e.Data)
	return append(dst, '}')
}

func appendCloudData(dst, data []byte) []byte {
	switch {
	case len(data) == 0:
		return dst
	case !utf8.Valid(data): // first: encoding/json lets invalid UTF-8 in strings pass
		dst = append(dst, `,"datacontenttype":"application/octet-stream"`...)
		return appendBase64(dst, data)
	}
	begin := len(dst)
	dst = append(dst, `,"datacontenttype":"application/json","data":`...)
	if dst, ok := appendCompact(dst, data); ok {
		return dst
	}
	dst = append(dst[:begin], `,"datacontenttype":"text/plain","data":`...)
	return AppendString(dst, data)
}

// appendCompact appends the JSON text src without white space between tokens. It
// reports false, and appends nothing, where src is not JSON.
func appendCompact(dst, src []byte) ([]byte, bool) {
	buf := bytes.NewBuffer(dst)
	err := json.Compact(buf, src)
	return buf.Bytes(), err == nil
}

func appendBase64(dst, data []byte) []byte {
	dst = append(dst, `,"data_base64":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, data)
	return append(dst, '"')
}

func appendTime(dst []byte, e *broker.Event) []byte {
	t := e.Time()
	if t.IsZero() {
		return dst
	}
	dst = append(dst, `,"time":"`...)
	dst = t.AppendFormat(dst, time.RFC3339Nano)
	return append(dst, '"')
}

// AppendString appends s as a JSON string, byte for byte as encoding/json
// writes it (a fuzz test compares the two), without its copies: U+FFFD for each
// byte that is not UTF-8, escapes for control characters, for <, > and & (the text
// may end up in HTML) and for U+2028 and U+2029 (line ends to older JavaScript and
// to Python's splitlines).
func AppendString[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	plain := 0 // s[plain:i] needs no escape and is not yet written
	for i := 0; i < len(s); {
		size := 1
		var escape string
		if s[i] < utf8.RuneSelf {
			escape = asciiEscapes[s[i]]
		} else {
			var r rune
			r, size = utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			escape = runeEscape(r, size)
		}
		if escape != "" {
			dst = append(dst, s[plain:i]...)
			dst = append(dst, escape...)
			plain = i + size
		}
		i += size
	}
	dst = append(dst, s[plain:]...)
	return append(dst, '"')
}

// runeEscape returns what stands for a rune beyond ASCII, empty for itself.
func runeEscape(r rune, size int) string {
	switch {
	case r == utf8.RuneError && size == 1:
		return `\ufffd`
	case r == '\u2028':
		return `\u2028`
	case r == '\u2029':
		return `\u2029`
	}
	return ""
}

// asciiEscapes holds what stands for each ASCII character, empty for itself.
var asciiEscapes = func() (table [utf8.RuneSelf]string) {
	const hex = "0123456789abcdef"
	for c := range byte(' ') {
		table[c] = `\u00` + string(hex[c>>4]) + string(hex[c&0xf])
	}
	for _, c := range []byte("<>&") {
		table[c] = `\u00` + string(hex[c>>4]) + string(hex[c&0xf])
	}
	table['"'], table['\\'] = `\"`, `\\`
	table['\b'], table['\f'] = `\b`, `\f`
	table['\n'], table['\r'], table['\t'] = `\n`, `\r`, `\t`
	return table
}()
