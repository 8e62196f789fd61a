package replay

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/bits"
)

// The part of bbolt's file format (version 2) that is needed to judge a file
// before bbolt maps it. That is not optional: on a damaged file bbolt panics, in
// places in a goroutine of its own where nobody can recover (freepages in
// v1.5.0), follows page numbers round in circles until the stack ends, and reads
// through its mapping beyond the end of a truncated file, which is a SIGBUS. So
// the pages are read here with pread, each once, and every number in them is
// checked before it is used.
//
// All integers are in the byte order of the host. A page is a header of 16 bytes
// {id u64, flags u16, count u16, overflow u32} followed by its elements; overflow
// pages follow a page that is larger than one. A branch element is {offset u32,
// key length u32, page u64}, a leaf element {flags u32, offset u32, key length
// u32, value length u32}; offsets count from the element. A bucket is a leaf value
// {root page u64, sequence u64}, with the page itself behind it where root is 0.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	pageHeader = 16
	elemSize   = 16
	bucketHead = 16
	metaSize   = 64

	pageBranch   = 0x01
	pageLeaf     = 0x02
	pageFreelist = 0x10
	elemBucket   = 0x01

	noFreelist = ^uint64(0)

	minPageSize = 1 << 10
	maxPageSize = 16 << 20
	maxDepth    = 64
)

// pages reads a bbolt file.
type pages struct {
	file io.ReaderAt
	size int64
	meta boltMeta
	seen []uint64 // a bit for every page that was accounted for
	bufs [][]byte // one per depth: a branch is needed until its children are read
}

// boltMeta is the root of a bbolt file. There are two, on the first two pages,
// written in turn; the valid one of the later transaction counts.
type boltMeta struct {
	pageSize uint64
	root     uint64
	freelist uint64
	high     uint64 // number of pages in use; the file is at least that long
	txid     uint64
}

// openPages reads the meta pages.
func openPages(file io.ReaderAt, size int64) (*pages, error) {
	p := &pages{file: file, size: size}
	first, err0 := p.readMeta(0)
	if err0 == nil {
		p.meta = first
	}
	second, err1 := p.secondMeta(first.pageSize)
	if err1 == nil && (err0 != nil || second.txid > first.txid) {
		p.meta = second
	}
	if err0 != nil && err1 != nil {
		return nil, fmt.Errorf("neither meta page is valid: %w; %w", err0, err1)
	}
	m := p.meta
	switch {
	case m.pageSize < minPageSize || m.pageSize > maxPageSize || bits.OnesCount64(m.pageSize) != 1:
		return nil, fmt.Errorf("page size is %d", m.pageSize)
	case m.high < 3 || m.high > uint64(size)/m.pageSize:
		return nil, fmt.Errorf("file of %d bytes is cut short: it should have %d pages of %d", size, m.high, m.pageSize)
	}
	p.seen = make([]uint64, m.high/64+1)
	return p, errors.Join(p.account(0), p.account(1))
}

// secondMeta reads the second meta page, whose place depends on the page size.
func (p *pages) secondMeta(pageSize uint64) (boltMeta, error) {
	if pageSize != 0 {
		return p.readMeta(int64(pageSize))
	}
	err := errors.New("there is no second meta page")
	for at := int64(minPageSize); at <= maxPageSize && at < p.size; at *= 2 {
		var m boltMeta
		if m, err = p.readMeta(at); err == nil && m.pageSize == uint64(at) {
			return m, nil
		}
	}
	return boltMeta{}, err
}

func (p *pages) readMeta(at int64) (boltMeta, error) {
	var b [pageHeader + metaSize]byte
	if _, err := p.file.ReadAt(b[:], at); err != nil {
		return boltMeta{}, fmt.Errorf("read meta page: %w", err)
	}
	m := b[pageHeader:]
	sum := fnv.New64a()
	sum.Write(m[:metaSize-8])
	u32, u64 := binary.NativeEndian.Uint32, binary.NativeEndian.Uint64
	switch {
	case u32(m) != boltMagic:
		return boltMeta{}, errors.New("not a bbolt file")
	case u32(m[4:]) != boltVersion:
		return boltMeta{}, fmt.Errorf("bbolt file version is %d, known is %d", u32(m[4:]), boltVersion)
	case u64(m[metaSize-8:]) != sum.Sum64():
		return boltMeta{}, errors.New("meta page fails its checksum")
	}
	return boltMeta{
		pageSize: uint64(u32(m[8:])), root: u64(m[16:]),
		freelist: u64(m[32:]), high: u64(m[40:]), txid: u64(m[48:]),
	}, nil
}

// account notes that page id is in use, which it may be in one place only.
func (p *pages) account(id uint64) error {
	if id >= p.meta.high {
		return fmt.Errorf("page %d lies beyond the last page, %d", id, p.meta.high-1)
	}
	if p.seen[id/64]&(1<<(id%64)) != 0 {
		return fmt.Errorf("page %d is used twice", id)
	}
	p.seen[id/64] |= 1 << (id % 64)
	return nil
}

// page reads page id with its overflow pages. The slice is valid until the next
// page of the same depth is read.
func (p *pages) page(id uint64, depth int) ([]byte, error) {
	if depth >= maxDepth {
		return nil, fmt.Errorf("page %d: the tree is deeper than %d levels", id, maxDepth)
	}
	if err := p.account(id); err != nil {
		return nil, err
	}
	if depth == len(p.bufs) {
		p.bufs = append(p.bufs, make([]byte, p.meta.pageSize))
	}
	b := p.bufs[depth][:p.meta.pageSize]
	offset := int64(id * p.meta.pageSize)
	if _, err := p.file.ReadAt(b, offset); err != nil {
		return nil, fmt.Errorf("read page %d: %w", id, err)
	}
	if got := binary.NativeEndian.Uint64(b); got != id {
		return nil, fmt.Errorf("page %d calls itself %d", id, got)
	}
	overflow := uint64(binary.NativeEndian.Uint32(b[12:]))
	if overflow == 0 {
		return b, nil
	}
	for i := range overflow {
		if err := p.account(id + 1 + i); err != nil {
			return nil, err
		}
	}
	whole := make([]byte, (1+overflow)*p.meta.pageSize)
	if _, err := p.file.ReadAt(whole, offset); err != nil {
		return nil, fmt.Errorf("read page %d: %w", id, err)
	}
	return whole, nil
}

// entry is an element of a leaf.
type entry struct {
	key, value []byte
	bucket     bool
}

// walk visits the entries of the tree under page root in key order. Keys must
// ascend strictly and lie within what their branch says.
func (p *pages) walk(root uint64, visit func(entry) error) error {
	return p.walkPage(root, 0, nil, nil, visit)
}

// walkPage walks the tree under page id, whose keys are to lie in [low, high),
// nil being no limit.
func (p *pages) walkPage(id uint64, depth int, low, high []byte, visit func(entry) error) error {
	b, err := p.page(id, depth)
	if err != nil {
		return err
	}
	if err := p.walkElements(b, depth, low, high, visit); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

func (p *pages) walkElements(b []byte, depth int, low, high []byte, visit func(entry) error) error {
	switch flags := binary.NativeEndian.Uint16(b[8:]); flags {
	case pageLeaf:
		return walkLeaf(b, low, high, visit)
	case pageBranch:
		return p.walkBranch(b, depth, low, high, visit)
	default:
		return fmt.Errorf("type %#x is neither branch nor leaf", flags)
	}
}

func (p *pages) walkBranch(b []byte, depth int, low, high []byte, visit func(entry) error) error {
	count := int(binary.NativeEndian.Uint16(b[10:]))
	if count == 0 {
		return errors.New("branch has no children")
	}
	key, err := branchKey(b, 0)
	if err != nil {
		return err
	}
	for i := range count {
		next := high
		if i+1 < count {
			if next, err = branchKey(b, i+1); err != nil {
				return err
			}
		}
		if err := checkKey(key, i == 0, low, high); err != nil {
			return err
		}
		child := binary.NativeEndian.Uint64(b[pageHeader+i*elemSize+8:])
		if err := p.walkPage(child, depth+1, key, next, visit); err != nil {
			return err
		}
		low, key = key, next
	}
	return nil
}

func branchKey(b []byte, i int) ([]byte, error) {
	at := pageHeader + i*elemSize
	if at+elemSize > len(b) {
		return nil, fmt.Errorf("element %d lies outside the page", i)
	}
	return within(b, at, binary.NativeEndian.Uint32(b[at:]), binary.NativeEndian.Uint32(b[at+4:]))
}

func walkLeaf(b, low, high []byte, visit func(entry) error) error {
	count := int(binary.NativeEndian.Uint16(b[10:]))
	for i := range count {
		at := pageHeader + i*elemSize
		if at+elemSize > len(b) {
			return fmt.Errorf("element %d lies outside the page", i)
		}
		flags, offset := binary.NativeEndian.Uint32(b[at:]), binary.NativeEndian.Uint32(b[at+4:])
		keyLen, valueLen := binary.NativeEndian.Uint32(b[at+8:]), binary.NativeEndian.Uint32(b[at+12:])
		key, err := within(b, at, offset, keyLen)
		if err != nil {
			return err
		}
		value, err := within(b, at, offset+keyLen, valueLen)
		if err != nil {
			return err
		}
		if err := checkKey(key, i == 0, low, high); err != nil {
			return err
		}
		if err := visit(entry{key: key, value: value, bucket: flags&elemBucket != 0}); err != nil {
			return err
		}
		low = key
	}
	return nil
}

// within returns the length bytes of b that begin offset bytes after at.
func within(b []byte, at int, offset, length uint32) ([]byte, error) {
	from := uint64(at) + uint64(offset)
	to := from + uint64(length)
	if to > uint64(len(b)) {
		return nil, fmt.Errorf("element points %d bytes beyond the page", to-uint64(len(b)))
	}
	return b[from:to:to], nil
}

// checkKey reports a key out of order: the first may equal low, the others lie
// above it.
func checkKey(key []byte, first bool, low, high []byte) error {
	above := bytes.Compare(key, low)
	switch {
	case len(key) == 0:
		return errors.New("key is empty")
	case low != nil && (above < 0 || above == 0 && !first):
		return fmt.Errorf("key %x comes after %x", key, low)
	case high != nil && bytes.Compare(key, high) >= 0:
		return fmt.Errorf("key %x comes before %x", key, high)
	}
	return nil
}

// walkBucket visits the entries of the bucket that is stored as value.
func (p *pages) walkBucket(value []byte, visit func(entry) error) error {
	if len(value) < bucketHead {
		return fmt.Errorf("bucket has %d bytes, %d are needed", len(value), bucketHead)
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		return p.walk(root, visit)
	}
	inline := value[bucketHead:]
	if len(inline) < pageHeader || binary.NativeEndian.Uint16(inline[8:]) != pageLeaf {
		return errors.New("inline bucket is not a leaf")
	}
	return walkLeaf(inline, nil, nil, visit)
}

// checkFree verifies that every page that was not walked is listed as free, and
// no other: bbolt would overwrite a page in use that is listed.
func (p *pages) checkFree() error {
	if p.meta.freelist == noFreelist {
		return nil
	}
	b, err := p.page(p.meta.freelist, 0)
	if err != nil {
		return fmt.Errorf("free list: %w", err)
	}
	if flags := binary.NativeEndian.Uint16(b[8:]); flags != pageFreelist {
		return fmt.Errorf("free list: page %d has type %#x", p.meta.freelist, flags)
	}
	ids, count := b[pageHeader:], uint64(binary.NativeEndian.Uint16(b[10:]))
	if count == 0xFFFF { // the count did not fit: it is the first element
		count, ids = binary.NativeEndian.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return fmt.Errorf("free list: %d pages do not fit it", count)
	}
	for i := range count {
		if err := p.account(binary.NativeEndian.Uint64(ids[8*i:])); err != nil {
			return fmt.Errorf("free list: %w", err)
		}
	}
	for id := range p.meta.high {
		if p.seen[id/64]&(1<<(id%64)) == 0 {
			return fmt.Errorf("page %d is neither in use nor free", id)
		}
	}
	return nil
}
