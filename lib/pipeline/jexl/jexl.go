// Package jexl evaluates the "if" of a step: an expression over environment
// variables, in the grammar that pipeline files have from Jexl, with JavaScript's
// values.
//
// Evaluating has no effects and cannot fail, so an expression is evaluated while it
// is parsed, both sides of && and ?: included. A variable that does not exist is
// undefined, which is false. Transforms, filters and object literals are left out.
package jexl

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"pipex/lib/internal/lazy"
)

// True tells whether the expression holds in the environment that lookup knows. The
// error says where it is no expression.
func True(expression string, lookup func(string) (string, bool)) (holds bool, err error) {
	if len(expression) > maxLength {
		return false, fmt.Errorf("it is longer than %d bytes", maxLength)
	}
	p := &parser{text: expression, lookup: lookup}
	defer func() {
		switch wrong := recover().(type) {
		case nil:
		case syntaxError:
			holds, err = false, wrong
		default:
			panic(wrong) // a mistake of ours, and not of the expression
		}
	}()
	p.next()
	v := p.ternary()
	if p.token != "" {
		p.fail("%q is too much", p.token)
	}
	return truth(v), nil
}

// maxLength bounds an expression, and thereby how deep it nests.
const maxLength = 1 << 16

type syntaxError struct{ error }

// parser has the token that comes next; "" at the end.
type parser struct {
	text   string
	at     int
	token  string
	lookup func(string) (string, bool)
}

// environment is the value of "env".
type environment struct{}

func (p *parser) fail(format string, args ...any) {
	panic(syntaxError{fmt.Errorf("column %d: "+format, append([]any{p.at - len(p.token) + 1}, args...)...)})
}

var (
	blank  = lazy.Regexp(`^\s+`)
	lexeme = lazy.Regexp(`^(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\d+(?:\.\d+)?|[\pL_$][\pL_$\d]*|==|!=|<=|>=|&&|\|\||//|[-+*/%^<>!?:.,()\[\]])`)
	word   = lazy.Regexp(`^[\pL_$]`)
)

func (p *parser) next() {
	p.at += len(blank().FindString(p.text[p.at:]))
	p.token = lexeme().FindString(p.text[p.at:])
	if p.token == "" && p.at < len(p.text) {
		p.fail("%q is not understood", p.text[p.at:])
	}
	p.at += len(p.token)
}

// take goes past the token, if it is that one.
func (p *parser) take(token string) bool {
	if p.token != token {
		return false
	}
	p.next()
	return true
}

func (p *parser) want(token string) {
	if !p.take(token) {
		p.fail("%q is wanted", token)
	}
}

// precedence says which operators bind how tightly; all go from left to right.
var precedence = map[string]int{
	"||": 1, "&&": 1, "==": 2, "!=": 2, "<": 2, "<=": 2, ">": 2, ">=": 2, "in": 2, "+": 3, "-": 3, "*": 4, "/": 4, "//": 4, "%": 5, "^": 5,
}

func (p *parser) ternary() any {
	v := p.binary(1)
	if !p.take("?") {
		return v
	}
	yes := v
	if p.token != ":" {
		yes = p.ternary()
	}
	p.want(":")
	if no := p.ternary(); !truth(v) {
		return no
	}
	return yes
}

func (p *parser) binary(lowest int) any {
	v, or := p.unary(), false
	for precedence[p.token] >= lowest {
		operator := p.token
		// In Jexl the two are of one precedence, everywhere else && binds tighter.
		if operator == "&&" && or {
			p.fail("|| and then && can be read in two ways; put parentheses around one of them")
		}
		or = or || operator == "||"
		p.next()
		v = apply(operator, v, p.binary(precedence[operator]+1))
	}
	return v
}

func apply(operator string, a, b any) any {
	switch operator {
	case "||":
		if truth(a) {
			return a
		}
		return b
	case "&&":
		if truth(a) {
			return b
		}
		return a
	case "==", "!=":
		return equal(a, b) == (operator == "==")
	case "<":
		return less(a, b)
	case ">":
		return less(b, a)
	case "<=":
		return less(a, b) || equal(a, b) && a != nil
	case ">=":
		return less(b, a) || equal(a, b) && a != nil
	case "in":
		return in(a, b)
	case "+":
		if isText(a) || isText(b) {
			return Text(a) + Text(b)
		}
	}
	return arithmetic(operator, number(a), number(b))
}

func isText(v any) bool {
	_, ok := v.(string)
	return ok
}

func in(a, b any) bool {
	switch b := b.(type) {
	case string:
		return strings.Contains(b, Text(a))
	case []any:
		return slices.ContainsFunc(b, func(e any) bool { return isText(a) == isText(e) && equal(a, e) })
	}
	return false
}

func arithmetic(operator string, a, b float64) any {
	switch operator {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "/":
		return a / b
	case "//":
		return math.Floor(a / b)
	case "%":
		return math.Mod(a, b)
	}
	return math.Pow(a, b)
}

func (p *parser) unary() any {
	switch {
	case p.take("!"):
		return !truth(p.unary())
	case p.take("-"):
		return -number(p.unary())
	}
	v := p.primary()
	for {
		var key string
		switch {
		case p.take("."):
			if key = p.token; !word().MatchString(key) {
				p.fail("a name is wanted after the point")
			}
			p.next()
		case p.take("["):
			key = Text(p.ternary())
			p.want("]")
		default:
			return v
		}
		v = p.member(v, key)
	}
}

// member returns what v has under the key: a variable, an element or a length.
func (p *parser) member(v any, key string) any {
	switch v := v.(type) {
	case environment:
		if value, ok := p.lookup(key); ok {
			return value
		}
	case string:
		if key == "length" {
			return float64(len(utf16.Encode([]rune(v))))
		}
	case []any:
		if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(v) {
			return v[i]
		}
	}
	return nil
}

func (p *parser) primary() any {
	token := p.token
	switch {
	case token == "":
		p.fail("a value is wanted at the end")
	case p.take("("):
		v := p.ternary()
		p.want(")")
		return v
	case p.take("["):
		return p.list()
	case token[0] == '"' || token[0] == '\'':
		p.next()
		quote := token[:1]
		return strings.NewReplacer(`\`+quote, quote, `\\`, `\`).Replace(token[1 : len(token)-1])
	case token[0] >= '0' && token[0] <= '9':
		p.next()
		return number(token)
	}
	named := map[string]any{"env": environment{}, "true": true, "false": false, "null": nil, "undefined": nil}
	v, ok := named[token]
	if !ok {
		if word().MatchString(token) {
			p.fail("%q is unknown; a variable is env.%s", token, token)
		}
		p.fail("%q is no value", token)
	}
	p.next()
	return v
}

func (p *parser) list() any {
	list := []any{}
	for !p.take("]") {
		if len(list) > 0 {
			p.want(",")
		}
		list = append(list, p.ternary())
	}
	return list
}
