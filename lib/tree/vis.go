package tree

import (
	"errors"
	"strconv"
	"strings"
)

// A name in a manifest is written in the octal form of vis(3): \ and three digits for each byte that
// is not a printable ASCII character or that has a meaning in mtree(5). So all bytes are kept, and a
// name contains no blanks or line breaks.
//
// mtree also takes a name for a pattern if it contains ? * or [. In such a name, these and \ are
// quoted by one more \, as in fnmatch(3). Otherwise a file "*" would match all files beside it.

const patternBytes = "?*["

// encodeName appends one component of a path.
func encodeName(b []byte, name string) []byte {
	pattern := strings.ContainsAny(name, patternBytes)
	for i := range len(name) {
		if pattern && strings.IndexByte(patternBytes+`\`, name[i]) >= 0 {
			b = encodeByte(b, '\\')
		}
		b = encodeByte(b, name[i])
	}
	return b
}

// encodeText appends a target, which is never a pattern.
func encodeText(b []byte, text string) []byte {
	for i := range len(text) {
		b = encodeByte(b, text[i])
	}
	return b
}

func encodeByte(b []byte, c byte) []byte {
	if c > ' ' && c < 0x7f && strings.IndexByte(`\#`+patternBytes, c) < 0 {
		return append(b, c)
	}
	return append(b, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
}

var errEncoding = errors.New("backslash without three octal digits of a byte")

// decodeText reverses encodeText.
func decodeText(text string) (string, error) {
	if strings.IndexByte(text, '\\') < 0 {
		return text, nil
	}
	b := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			b = append(b, text[i])
			continue
		}
		if i+3 >= len(text) {
			return "", errEncoding
		}
		c, err := strconv.ParseUint(text[i+1:i+4], 8, 8)
		if err != nil {
			return "", errEncoding
		}
		b = append(b, byte(c))
		i += 3
	}
	return string(b), nil
}

// decodeName reverses encodeName.
func decodeName(text string) (string, error) {
	name, err := decodeText(text)
	if err != nil || !strings.ContainsAny(name, patternBytes) {
		return name, err
	}
	b := make([]byte, 0, len(name))
	for i := 0; i < len(name); i++ {
		if name[i] == '\\' && i+1 < len(name) {
			i++
		}
		b = append(b, name[i])
	}
	return string(b), nil
}
