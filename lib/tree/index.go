package tree

// index is a hash table of numbers, which stand for records that are kept elsewhere. A map of the
// records themselves, of a hundred thousand files, takes tens of milliseconds to fill.
type index struct {
	slots []uint32 // 0 is free, else 1 more than the number; a power of two, at least twice the numbers
}

func newIndex(n int) index {
	size := 2
	for size < 2*n {
		size *= 2
	}
	return index{make([]uint32, size)}
}

// insert adds number i under a hash, unless same says that a number there stands for the same.
func (x *index) insert(hash uint64, i uint32, same func(uint32) bool) bool {
	at := x.slot(hash, same)
	if x.slots[at] != 0 {
		return false
	}
	x.slots[at] = i + 1
	return true
}

// find returns the number under a hash of which same is true.
func (x *index) find(hash uint64, same func(uint32) bool) (uint32, bool) {
	if x.slots == nil {
		return 0, false
	}
	i := x.slots[x.slot(hash, same)]
	return i - 1, i != 0
}

// slot returns the place of what has that hash: of a number of which same is true, or a free one.
func (x *index) slot(hash uint64, same func(uint32) bool) int {
	mask := len(x.slots) - 1
	for at := int(hash) & mask; ; at = (at + 1) & mask {
		if i := x.slots[at]; i == 0 || same(i-1) {
			return at
		}
	}
}
