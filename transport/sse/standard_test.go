package sse_test

import (
	"strings"

	"ringcast/transport/sse"
)

// interpret is the standard's algorithm word for word, on a stream held whole: the
// oracle of FuzzDecoder. It decodes first and splits then, as the standard says and
// the decoder does not.
func interpret(stream []byte) (messages []sse.Message, lastEventID string) {
	text := strings.TrimPrefix(decode(stream), "\uFEFF")
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	lines := strings.Split(text, "\n")
	var data, typ, id string
	for _, line := range lines[:len(lines)-1] {
		if line != "" {
			name, value, _ := strings.Cut(line, ":")
			value = strings.TrimPrefix(value, " ")
			switch name {
			case "event":
				typ = value
			case "data":
				data += value + "\n"
			case "id":
				if !strings.Contains(value, "\x00") {
					id = value
				}
			}
			continue
		}
		lastEventID = id
		if data != "" {
			m := sse.Message{Type: "message", Data: []byte(strings.TrimSuffix(data, "\n")), LastEventID: lastEventID}
			if typ != "" {
				m.Type = typ
			}
			messages = append(messages, m)
		}
		data, typ = "", ""
	}
	return messages, lastEventID
}

// decode is the UTF-8 decoder of the Encoding standard
// (https://encoding.spec.whatwg.org/#utf-8-decoder), with its variables' names.
func decode(stream []byte) string {
	var out strings.Builder
	var codePoint rune
	var bytesSeen, bytesNeeded int
	lower, upper := byte(0x80), byte(0xBF)
	for i := 0; i < len(stream); i++ {
		b := stream[i]
		if bytesNeeded == 0 {
			switch {
			case b <= 0x7F:
				out.WriteByte(b)
			case 0xC2 <= b && b <= 0xDF:
				bytesNeeded, codePoint = 1, rune(b&0x1F)
			case 0xE0 <= b && b <= 0xEF:
				if b == 0xE0 {
					lower = 0xA0
				}
				if b == 0xED {
					upper = 0x9F
				}
				bytesNeeded, codePoint = 2, rune(b&0xF)
			case 0xF0 <= b && b <= 0xF4:
				if b == 0xF0 {
					lower = 0x90
				}
				if b == 0xF4 {
					upper = 0x8F
				}
				bytesNeeded, codePoint = 3, rune(b&0x7)
			default:
				out.WriteRune('\uFFFD')
			}
			continue
		}
		inRange := lower <= b && b <= upper
		lower, upper = 0x80, 0xBF
		if !inRange {
			bytesSeen, bytesNeeded = 0, 0
			out.WriteRune('\uFFFD')
			i-- // the byte is looked at again
			continue
		}
		codePoint = codePoint<<6 | rune(b&0x3F)
		if bytesSeen++; bytesSeen == bytesNeeded {
			bytesSeen, bytesNeeded = 0, 0
			out.WriteRune(codePoint)
		}
	}
	if bytesNeeded > 0 {
		out.WriteRune('\uFFFD')
	}
	return out.String()
}
