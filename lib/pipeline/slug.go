package pipeline

import (
	"strings"

	"golang.org/x/text/unicode/norm"

	"pipex/lib/internal/lazy"
)

// letters are those Latin ones that are no other letter with a mark.
var letters = strings.NewReplacer(
	"Æ", "ae", "æ", "ae", "Œ", "oe", "œ", "oe", "ß", "ss", "Þ", "th", "þ", "th", "Ð", "d", "ð", "d", "Ø", "o", "ø", "o", "Đ", "d", "đ", "d",
	"Ħ", "h", "ħ", "h", "ı", "i", "Ĳ", "ij", "ĳ", "ij", "ĸ", "k", "Ŀ", "l", "ŀ", "l", "Ł", "l", "ł", "l", "ŉ", "'n", "Ŋ", "n", "ŋ", "n", "Ŧ", "t", "ŧ", "t", "ſ", "s",
)

var (
	marks   = lazy.Regexp("[\u0300-\u036f\ufe20-\ufe2f\u20d0-\u20ff]")
	accents = lazy.Regexp("[\u00c0-\u017f]")
	foreign = lazy.Regexp(`[^a-z0-9_]+`)
)

// slug makes an id of a name, the same one as @livingdata/pipex: without accents, in
// lower case, with a hyphen for whatever cannot be in an id. It may come out empty.
func slug(name string) string {
	name = accents().ReplaceAllStringFunc(letters.Replace(name), norm.NFD.String)
	name = strings.ToLower(marks().ReplaceAllString(name, ""))
	return strings.Trim(foreign().ReplaceAllString(name, "-"), "-")
}
