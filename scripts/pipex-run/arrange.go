package main

import (
	"os"
	"path/filepath"
	"strings"
)

// valued are the options whose value may be the next word.
var valued = map[string]bool{
	"-w": true, "--workspace": true, "--workdir": true, "--address": true, "--namespace": true, "--rpc-timeout": true,
	"-t": true, "--target": true, "-c": true, "--concurrency": true, "--env-file": true, "--network": true,
}

// arrange puts options before the operand, and the steps of --force into its own word.
func arrange(args []string) []string {
	var options, operands []string
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		switch {
		case word == "--":
			operands = append(operands, append([]string{word}, args...)...)
			args = nil
		case word == "-f" || word == "--force":
			option := "--force"
			if len(args) > 0 && !strings.HasPrefix(args[0], "-") && !isPipeline(args[0]) {
				option += "=" + args[0]
				args = args[1:]
			}
			options = append(options, option)
		case strings.HasPrefix(word, "-f="):
			options = append(options, "--force="+strings.TrimPrefix(word, "-f="))
		case strings.HasPrefix(word, "--attach=") || strings.HasPrefix(word, "--stop="):
			option, id, _ := strings.Cut(word, "=")
			options, operands = append(options, option), append(operands, id)
		case word == "-d":
			options = append(options, "--detach")
		case valued[word] && len(args) > 0:
			options = append(options, word, args[0])
			args = args[1:]
		case strings.HasPrefix(word, "-") && word != "-":
			options = append(options, word)
		default:
			operands = append(operands, word)
		}
	}
	return append(options, operands...)
}

// isPipeline tells whether a word after --force is FILE or DIR, and not steps.
func isPipeline(word string) bool {
	info, err := os.Stat(word)
	if err != nil || !info.IsDir() {
		return err == nil
	}
	found, _ := filepath.Glob(filepath.Join(word, "pipeline.*"))
	return len(found) > 0
}
