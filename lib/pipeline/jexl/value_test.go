package jexl

import (
	"math"
	"testing"
)

var nan = math.NaN()

func TestTruth(t *testing.T) {
	for _, v := range []any{nil, false, 0.0, nan, ""} {
		if truth(v) {
			t.Errorf("%#v is true", v)
		}
	}
	for _, v := range []any{true, 1.0, -1.0, "0", "false", " ", []any{}, struct{}{}} {
		if !truth(v) {
			t.Errorf("%#v is false", v)
		}
	}
}

func TestText(t *testing.T) {
	for want, v := range map[string]any{
		"undefined": nil, "true": true, "5": 5.0, "-0.5": -0.5, "3.1": 3.10, "0": math.Copysign(0, -1), "NaN": nan,
		"Infinity": math.Inf(1), "-Infinity": math.Inf(-1), "100000000000000000000": 1e20, "1e+21": 1e21, "1.5e-7": 1.5e-7, "0.000001": 1e-6, "1e-10": 1e-10, "1e+100": 1e100,
		"a": "a", "1,,b": []any{1.0, nil, "b"}, "[object Object]": struct{}{},
	} {
		if got := Text(v); got != want {
			t.Errorf("%#v: %s, not %s", v, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	for _, c := range []struct {
		v    any
		want float64
	}{
		{true, 1}, {false, 0}, {"", 0}, {" 12\n", 12}, {"1.5e1", 15}, {"5.", 5}, {".5", .5}, {"-3", -3}, {"0x1F", 31}, {"0b11", 3}, {"0o17", 15}, {"017", 17},
		{"-Infinity", math.Inf(-1)}, {"1e999", math.Inf(1)}, {[]any{}, 0}, {[]any{"7"}, 7},
		{nil, nan}, {"1_000", nan}, {"abc", nan}, {"inf", nan}, {"nan", nan}, {"0x1p4", nan}, {"-0x1", nan}, {"1 2", nan}, {struct{}{}, nan},
	} {
		if got := number(c.v); got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("%#v: %v, not %v", c.v, got, c.want)
		}
	}
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		a, b        any
		equal, less bool
	}{
		{"5", 5.0, true, false}, {"5", "5.0", false, true}, {"10", "9", false, true}, {"10", 9.0, false, false}, {"4", 5.0, false, true},
		{"", 0.0, true, false}, {"", nil, false, false}, {nil, nil, true, false}, {nil, 0.0, false, false}, {nil, false, false, false}, {nil, 1.0, false, false},
		{"true", true, false, false}, {"1", true, true, false}, {nan, nan, false, false}, {[]any{"a"}, "a", true, false},
	} {
		if got := equal(c.a, c.b); got != c.equal {
			t.Errorf("%#v == %#v: %v", c.a, c.b, got)
		}
		if got := less(c.a, c.b); got != c.less {
			t.Errorf("%#v < %#v: %v", c.a, c.b, got)
		}
	}
}
