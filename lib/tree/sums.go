package tree

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
)

// A cache file is this line, then the records in any order, then the SHA-256 sum of all that.
// A record is the eight 64-bit numbers of a stamp, little-endian, and the file's sum.
const cacheHeader = "pipex hash cache 1\n"

const (
	stampSize  = 8 * 8
	recordSize = stampSize + sha256.Size
)

// sums finds the records of a cache file by their stamps. It leaves them where they were read, since
// a map of them would take longer to make than the scan itself.
type sums struct {
	records  []byte
	distinct int // records with different stamps: files with several names have one each
	index
}

func newSums(records []byte) sums {
	n := len(records) / recordSize
	s := sums{records: records, index: newIndex(n)}
	for i := range uint32(n) {
		is := s.record(i)[:stampSize]
		if s.insert(hashStamp(s.stamp(i)), i, func(j uint32) bool { return bytes.Equal(s.record(j)[:stampSize], is) }) {
			s.distinct++
		}
	}
	return s
}

func (s *sums) count() int { return len(s.records) / recordSize }

func (s *sums) record(i uint32) []byte { return s.records[int(i)*recordSize:][:recordSize] }

func (s *sums) sum(i uint32) [sha256.Size]byte { return [sha256.Size]byte(s.record(i)[stampSize:]) }

func (s *sums) stamp(i uint32) (is stamp) {
	record := s.record(i)
	for n := range is {
		is[n] = binary.LittleEndian.Uint64(record[n*8:])
	}
	return is
}

// find returns the record with that stamp.
func (s *sums) find(is stamp) (uint32, bool) {
	return s.index.find(hashStamp(is), func(i uint32) bool { return s.stamp(i) == is })
}

// hashStamp tells stamps apart by inode and times: those of one tree differ in little else.
func hashStamp(is stamp) uint64 {
	const odd = 0x9e3779b97f4a7c15 // spreads numbers that follow each other; Knuth's multiplicative hashing
	h := is[stampIno]*odd ^ is[stampCtime]<<30 ^ is[stampCtime+1]
	h *= odd
	return h ^ h>>32
}

func (r *remembered) append(data []byte) []byte {
	for _, n := range r.stamp {
		data = binary.LittleEndian.AppendUint64(data, n)
	}
	return append(data, r.sum[:]...)
}

// encodeSums returns a cache file.
func encodeSums(records []byte) []byte {
	data := append(append(make([]byte, 0, len(cacheHeader)+len(records)+sha256.Size), cacheHeader...), records...)
	end := sha256.Sum256(data)
	return append(data, end[:]...)
}

// decodeSums reads a cache file. It finds nothing in data that is damaged.
func decodeSums(data []byte) sums {
	size := len(data) - sha256.Size
	if size < len(cacheHeader) || string(data[:len(cacheHeader)]) != cacheHeader || (size-len(cacheHeader))%recordSize != 0 {
		return sums{}
	}
	if end := sha256.Sum256(data[:size]); !bytes.Equal(end[:], data[size:]) {
		return sums{}
	}
	return newSums(data[len(cacheHeader):size])
}
