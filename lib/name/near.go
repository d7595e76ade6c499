package name

import (
	"strings"

	"github.com/xrash/smetrics"
)

// Near returns the one of known that a person may have meant by word: one that differs from
// it in at most two characters and in no more than half of them, or that begins with it. It
// returns "" if there is none. Case is ignored.
func Near(word string, known []string) string {
	word = strings.ToLower(word)
	best, distance := "", 3
	for _, k := range known {
		other := strings.ToLower(k)
		d := smetrics.WagnerFischer(word, other, 1, 1, 1)
		if len(word) > 2 && strings.HasPrefix(other, word) {
			d = min(d, 2)
		}
		if d < distance && 2*d <= len(k) {
			best, distance = k, d
		}
	}
	return best
}
