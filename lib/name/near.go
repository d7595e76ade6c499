package name

import (
	"fmt"
	"strings"

	"github.com/xrash/smetrics"
)

// Near returns the one of known that a person may have meant by word: one that differs from
// it in at most two characters and in no more than half of them, or that begins with it. Two
// neighbours that are swapped count as one. It returns "" if there is none. Case is ignored.
func Near(word string, known []string) string {
	word = strings.ToLower(word)
	best, distance := "", 3
	for _, k := range known {
		other := strings.ToLower(k)
		if more := len(other) - len(word); max(more, -more) >= distance && !strings.HasPrefix(other, word) {
			continue // of ten thousand, few are measured
		}
		d := smetrics.WagnerFischer(word, other, 1, 1, 1)
		if swapped(word, other) {
			d = 1
		}
		if len(word) > 2 && strings.HasPrefix(other, word) {
			d = min(d, 2)
		}
		if d < distance && 2*d <= len(k) {
			best, distance = k, d
		}
	}
	return best
}

// swapped reports whether b is a with two neighbours swapped.
func swapped(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) - 1 {
		if a[i] != b[i] {
			return a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
		}
	}
	return false
}

// DidYouMean is the end of an error about a word that is unknown: it names the one of known
// that is [Near], and is empty if there is none.
func DidYouMean(word string, known []string) string {
	near := Near(word, known)
	if near == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", near)
}
