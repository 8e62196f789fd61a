package bench

import (
	"math/rand/v2"
	"strconv"
)

// jsonBefore and jsonAfter are what stands around the stamp in a payload of JSON.
var (
	jsonBefore = []byte(`{"id":"`)
	jsonAfter  = []byte(`","book":[`)
)

// leastSize returns that of the smallest payload there is room for a stamp in.
func (o Options) leastSize() int {
	if o.Payload == JSON {
		return len(jsonBefore) + stampSize + len(jsonAfter) + len("]}")
	}
	return stampSize
}

// payload returns what is published for a stamp.
func (o Options) payload(s stamp) []byte {
	p := make([]byte, 0, o.Size)
	if o.Payload == JSON {
		return s.appendBook(p, o.Size)
	}
	p = s.append(p)
	for len(p) < o.Size {
		p = append(p, 'x')
	}
	return p
}

// appendBook appends an order book of size bytes: levels with prices near each
// other and numbers that nobody can guess, the same for the same stamp. Blanks fill
// up what is too short for another level.
func (s stamp) appendBook(dst []byte, size int) []byte {
	random := rand.New(rand.NewPCG(uint64(s.subject), s.place))
	dst = append(s.append(append(dst, jsonBefore...)), jsonAfter...)
	for level := 0; ; level++ {
		before := len(dst)
		if level > 0 {
			dst = append(dst, ',')
		}
		dst = appendLevel(dst, random)
		if len(dst) > size-len("]}") {
			dst = dst[:before]
			break
		}
	}
	for len(dst) < size-len("]}") {
		dst = append(dst, ' ')
	}
	return append(dst, "]}"...)
}

func appendLevel(dst []byte, random *rand.Rand) []byte {
	side := "bid"
	if random.IntN(2) == 1 {
		side = "ask"
	}
	dst = append(dst, `{"side":"`+side+`","price":`...)
	dst = strconv.AppendFloat(dst, 100+float64(random.IntN(1000))/100, 'f', 2, 64)
	dst = append(dst, `,"size":`...)
	dst = strconv.AppendInt(dst, int64(random.IntN(10_000)), 10)
	return append(dst, '}')
}
