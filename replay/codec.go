package replay

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"unsafe"

	"ringcast/broker"
)

// An event's value in the file, all integers big-endian:
//
//	offset  size  field
//	     0     1  record version, 1
//	     1     1  flags: bit 0 set on the last event of its subject, others zero
//	     2     8  stamp, nanoseconds since the Unix epoch
//	    10     2  length of the subject
//	    12     1  length of the type
//	    13        subject, type, data (the rest)
//	  last     4  CRC-32C of the key's 8 bytes and of everything above
//
// The checksum covers the sequence so that a record found under another key is
// noticed as well.
const (
	recordVersion = 1
	flagEnd       = 1 << 0

	recordHead     = 13
	recordTail     = 4
	recordOverhead = recordHead + recordTail

	maxSubject = math.MaxUint16
	maxType    = math.MaxUint8
)

// castagnoli is CRC-32C, for which processors have an instruction.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// record is a decoded value. Its slices point into what was decoded.
type record struct {
	id   broker.ID
	end  bool
	text []byte // subject and type, one after the other
	cut  int    // where the type begins in text
	data []byte
}

func (r *record) subject() []byte { return r.text[:r.cut] }
func (r *record) size() int64     { return int64(len(r.text) + len(r.data)) }

// subjectText and typeText view a name as a string without copying it. They are
// valid as long as the record's slices are, which for a record read from the
// file is the transaction.
func (r *record) subjectText() string { return viewText(r.text[:r.cut]) }
func (r *record) typeText() string    { return viewText(r.text[r.cut:]) }

func viewText(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// event copies the record out of the file.
func (r *record) event() broker.Event {
	text := string(r.text)
	e := broker.Event{ID: r.id, Subject: text[:r.cut], Type: text[r.cut:], End: r.end}
	if len(r.data) > 0 {
		e.Data = append(make([]byte, 0, len(r.data)), r.data...)
	}
	return e
}

// recordSize returns the length of e's record.
func recordSize(e *broker.Event) int { return recordOverhead + e.Size() }

// appendRecord appends e's record, to be stored under key, to b.
func appendRecord(b, key []byte, e *broker.Event) []byte {
	start := len(b)
	var flags byte
	if e.End {
		flags |= flagEnd
	}
	b = append(b, recordVersion, flags)
	b = binary.BigEndian.AppendUint64(b, uint64(e.ID.Stamp))
	b = binary.BigEndian.AppendUint16(b, uint16(len(e.Subject)))
	b = append(b, byte(len(e.Type)))
	b = append(b, e.Subject...)
	b = append(b, e.Type...)
	b = append(b, e.Data...)
	return binary.BigEndian.AppendUint32(b, recordSum(key, b[start:]))
}

// parseRecord decodes the value v found under key.
func parseRecord(key, v []byte) (record, error) {
	if len(key) != keySize {
		return record{}, fmt.Errorf("key %x has %d bytes, %d are needed", key, len(key), keySize)
	}
	seq := binary.BigEndian.Uint64(key)
	if len(v) < recordOverhead {
		return record{}, fmt.Errorf("event %d: record has %d bytes, at least %d are needed", seq, len(v), recordOverhead)
	}
	body := v[:len(v)-recordTail]
	if want, got := binary.BigEndian.Uint32(v[len(body):]), recordSum(key, body); got != want {
		return record{}, fmt.Errorf("event %d: checksum is %08x, the record says %08x", seq, got, want)
	}
	if v[0] != recordVersion {
		return record{}, fmt.Errorf("event %d: record version is %d, known is %d", seq, v[0], recordVersion)
	}
	if v[1]&^flagEnd != 0 {
		return record{}, fmt.Errorf("event %d: unknown flags %08b", seq, v[1])
	}
	stamp := int64(binary.BigEndian.Uint64(v[2:]))
	if stamp < 0 {
		return record{}, fmt.Errorf("event %d: stamp %d is negative", seq, stamp)
	}
	subject, typ := int(binary.BigEndian.Uint16(v[10:])), int(v[12])
	names := subject + typ
	if subject == 0 || recordHead+names > len(body) {
		return record{}, fmt.Errorf("event %d: names of %d and %d bytes do not fit a record of %d", seq, subject, typ, len(v))
	}
	return record{
		id:   broker.ID{Seq: seq, Stamp: stamp},
		end:  v[1]&flagEnd != 0,
		text: body[recordHead : recordHead+names],
		cut:  subject,
		data: body[recordHead+names:],
	}, nil
}

func recordSum(key, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, body)
}

// keySize is the length of an event's key: its sequence, big-endian, so that the
// order of keys is that of sequences.
const keySize = 8

func eventKey(seq uint64) []byte { return appendKey(make([]byte, 0, keySize), seq) }

func appendKey(b []byte, seq uint64) []byte { return binary.BigEndian.AppendUint64(b, seq) }

// state is the record that accompanies the events: it is written in the same
// transaction as every change to them.
type state struct {
	floor, head broker.ID
	events      int64
	bytes       int64 // sum of broker.Event.Size
	// generation counts the resets of this file. Sequences may repeat in another
	// generation and then mean other events.
	generation uint64
}

// cost is what the events count for against Options.MaxBytes.
func (s *state) cost() int64 { return s.bytes + s.events*EventOverhead }

func (s *state) bounds() broker.Bounds { return broker.Bounds{Floor: s.floor, Head: s.head} }

// stateSize is seven integers of 8 bytes and a CRC-32C.
const stateSize = 7*8 + 4

func appendState(b []byte, s state) []byte {
	start := len(b)
	for _, n := range [...]uint64{
		s.floor.Seq, uint64(s.floor.Stamp), s.head.Seq, uint64(s.head.Stamp),
		uint64(s.events), uint64(s.bytes), s.generation,
	} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

func parseState(v []byte) (state, error) {
	if len(v) != stateSize {
		return state{}, fmt.Errorf("state record has %d bytes, %d are needed", len(v), stateSize)
	}
	body := v[:stateSize-4]
	if want, got := binary.BigEndian.Uint32(v[len(body):]), crc32.Checksum(body, castagnoli); got != want {
		return state{}, fmt.Errorf("state record: checksum is %08x, the record says %08x", got, want)
	}
	at := func(i int) uint64 { return binary.BigEndian.Uint64(v[8*i:]) }
	return state{
		floor:      broker.ID{Seq: at(0), Stamp: int64(at(1))},
		head:       broker.ID{Seq: at(2), Stamp: int64(at(3))},
		events:     int64(at(4)),
		bytes:      int64(at(5)),
		generation: at(6),
	}, nil
}
