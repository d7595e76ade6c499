package main

import (
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"mvdan.cc/sh/v3/syntax"
)

// split returns the words that a POSIX shell makes of a line. They are static if they
// are all that it would see: an expansion, a second command, or a pattern that matches
// files here is known only when the line runs. Such a word is as it is written. There
// are none if the shell will refuse the line. matched says that there is a pattern, which may
// match files later.
func split(line string) (words []string, static, matched bool) {
	file, err := parse(line, syntax.LangPOSIX)
	if err != nil {
		return nil, false, false
	}
	var call *syntax.CallExpr
	syntax.Walk(file, func(n syntax.Node) bool {
		if c, ok := n.(*syntax.CallExpr); ok && call == nil {
			call = c
		}
		return call == nil
	})
	if call == nil {
		return nil, false, false
	}
	static = len(file.Stmts) == 1 && file.Stmts[0].Cmd == call && !file.Stmts[0].Background
	for _, arg := range call.Args[1:] {
		word, fixed, pattern := literal(line, arg)
		words, static, matched = append(words, word), static && fixed, matched || pattern
	}
	return words, static, matched
}

func parse(line string, shell syntax.LangVariant) (*syntax.File, error) {
	return syntax.NewParser(syntax.Variant(shell)).Parse(strings.NewReader("pipex-step "+line), "")
}

// broken says why no shell can read a line, such as for a quote that is not closed; empty
// if one can. make's SHELL may be another than a POSIX shell.
func broken(line string) string {
	var wrong syntax.ParseError
	if _, err := parse(line, syntax.LangPOSIX); !errors.As(err, &wrong) {
		return ""
	}
	if _, err := parse(line, syntax.LangBash); err == nil {
		return ""
	}
	return strings.Replace(wrong.Text, "reached EOF", "it ends", 1)
}

var (
	escaped       = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?s)\\(.)`) })
	escapedQuoted = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("(?s)\\\\([$`\"\\\\\n])") })
)

// literal is the word without its quotes, if it has no other part, and whether it is a pattern
// that files were compared with.
func literal(line string, word *syntax.Word) (text string, static, matched bool) {
	var b, pattern strings.Builder
	for i, part := range word.Parts {
		switch part := part.(type) {
		case *syntax.Lit:
			if i == 0 && strings.HasPrefix(part.Value, "~") {
				return source(line, word), false, false
			}
			b.WriteString(unescape(escaped(), part.Value))
			pattern.WriteString(part.Value)
			continue
		case *syntax.SglQuoted:
			b.WriteString(part.Value)
			pattern.WriteString(quotePattern(part.Value))
		case *syntax.DblQuoted:
			for _, inner := range part.Parts {
				lit, ok := inner.(*syntax.Lit)
				if !ok {
					return source(line, word), false, false
				}
				value := unescape(escapedQuoted(), lit.Value)
				b.WriteString(value)
				pattern.WriteString(quotePattern(value))
			}
		default:
			return source(line, word), false, false
		}
	}
	if strings.ContainsAny(escaped().ReplaceAllString(pattern.String(), ""), "*?[") {
		matches, _ := filepath.Glob(pattern.String()) // a bad pattern is a plain word
		return b.String(), len(matches) == 0, true
	}
	return b.String(), true, false
}

func unescape(pattern *regexp.Regexp, text string) string {
	return pattern.ReplaceAllStringFunc(text, func(pair string) string {
		return strings.TrimPrefix(pair[1:], "\n") // a line that goes on
	})
}

var specials = strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`)

func quotePattern(text string) string { return specials.Replace(text) }

// source is the word as the line has it.
func source(line string, word *syntax.Word) string {
	const before = len("pipex-step ")
	return line[int(word.Pos().Offset())-before : int(word.End().Offset())-before]
}
