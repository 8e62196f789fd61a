//go:build linux

package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
)

// payload is what an event carries: which one it is, and a checksum over all of it.
type payload struct {
	Subject string `json:"s"`
	Counter uint64 `json:"n"`
	Padding string `json:"p"`
	Sum     uint32 `json:"c"`
}

func (p payload) sum() uint32 {
	return crc32.ChecksumIEEE(fmt.Appendf(nil, "%s %d %s", p.Subject, p.Counter, p.Padding))
}

// encodePayload returns an event's payload of about size bytes.
func encodePayload(subject string, counter uint64, size int) ([]byte, error) {
	p := payload{Subject: subject, Counter: counter}
	p.Padding = strings.Repeat(fmt.Sprintf("%d.", counter), size/2+1)[:size]
	p.Sum = p.sum()
	return json.Marshal(p)
}

var errPayload = errors.New("the payload is not what was published")

func decodePayload(data string) (p payload, err error) {
	if err := json.Unmarshal([]byte(data), &p); err != nil {
		return p, fmt.Errorf("%w: %w", errPayload, err)
	}
	if p.Sum != p.sum() {
		return p, fmt.Errorf("%w: its checksum is wrong", errPayload)
	}
	return p, nil
}
