package jexl

import (
	"math"
	"strconv"
	"strings"

	"pipex/lib/internal/lazy"
)

// A value is nil for undefined and null, a bool, a float64, a string, or a []any;
// anything else is an object of which nothing is known. Values are converted and
// compared as JavaScript does: what is true, what a number looks like, when "5"
// equals 5.

// truth tells whether a condition holds that has the value v.
func truth(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case float64:
		return v != 0 && !math.IsNaN(v)
	case string:
		return v != ""
	}
	return true
}

// Text is what v becomes in a text.
func Text(v any) string {
	switch v := v.(type) {
	case nil:
		return "undefined"
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return digits(v)
	case string:
		return v
	case []any:
		texts := make([]string, len(v))
		for i, e := range v {
			if e != nil {
				texts[i] = Text(e)
			}
		}
		return strings.Join(texts, ",")
	}
	return "[object Object]"
}

// digits writes f in the fewest digits that mean it, with an exponent for what is
// very large or small (ECMA-262, Number::toString).
func digits(f float64) string {
	switch abs := math.Abs(f); {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 0):
		return strings.TrimPrefix(strconv.FormatFloat(f, 'f', -1, 64), "+") + "inity"
	case f == 0:
		return "0"
	case abs >= 1e21 || abs < 1e-6:
		return strings.Replace(strconv.FormatFloat(f, 'e', -1, 64), "e-0", "e-", 1)
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

var decimal = lazy.Regexp(`^[+-]?(Infinity|([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?)$`)
var prefixed = lazy.Regexp(`^0[xX][0-9a-fA-F]+$|^0[oO][0-7]+$|^0[bB][01]+$`)

// number is what v becomes in arithmetic; NaN if it is none.
func number(v any) float64 {
	switch v := v.(type) {
	case bool:
		if v {
			return 1
		}
		return 0
	case float64:
		return v
	case string:
		return parse(strings.TrimSpace(v))
	case []any:
		return parse(Text(v))
	}
	return math.NaN()
}

func parse(text string) float64 {
	switch {
	case text == "":
		return 0
	case prefixed().MatchString(text):
		if n, err := strconv.ParseUint(text, 0, 64); err == nil {
			return float64(n)
		}
	case decimal().MatchString(text):
		f, _ := strconv.ParseFloat(text, 64) // out of range is infinite, here and there
		return f
	}
	return math.NaN()
}

// primitive is v, with a text in place of what is an object.
func primitive(v any) any {
	switch v.(type) {
	case nil, bool, float64, string:
		return v
	}
	return Text(v)
}

// equal is JavaScript's ==: null equals nothing but itself, two strings are
// compared as such, and all else as numbers.
func equal(a, b any) bool {
	a, b = primitive(a), primitive(b)
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	x, text := a.(string)
	y, too := b.(string)
	if text && too {
		return x == y
	}
	return number(a) == number(b)
}

// less is JavaScript's <: two strings in order of their characters, all else as
// numbers. It is false if one is none.
func less(a, b any) bool {
	a, b = primitive(a), primitive(b)
	x, text := a.(string)
	y, too := b.(string)
	if text && too {
		return x < y
	}
	return number(a) < number(b)
}
