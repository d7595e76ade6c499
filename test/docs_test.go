package test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	helpOption = regexp.MustCompile(`(?m)^  (-\w, )?(-\w\b|--[a-z-]+)`)
	pageOption = regexp.MustCompile(`(?m)^\*\*.*$`)
	anyOption  = regexp.MustCompile(`\B--?[a-z][a-z-]*`)
	pageLink   = regexp.MustCompile(`\]\(([a-z./-]+)[)#]`)
)

// options are the sorted, distinct options in text.
func options(text string) []string {
	all := anyOption.FindAllString(text, -1)
	slices.Sort(all)
	return slices.Compact(all)
}

// Every option of a verb is on its page or on that of all verbs, and no page
// has an option that its verb has not.
func TestPagesHaveTheVerbsOptions(t *testing.T) {
	t.Parallel()
	onPage := func(name string) []string {
		page, err := os.ReadFile(filepath.Join("../docs", name+".md"))
		if err != nil {
			t.Fatal(err)
		}
		return options(strings.Join(pageOption.FindAllString(string(page), -1), "\n"))
	}
	common := onPage("pipex")
	for _, verb := range []string{"prepare", "exec", "commit", "discard", "link", "prune"} {
		help, err := output(filepath.Join(verbs(t), "pipex-"+verb), "--help")
		if err != nil {
			t.Fatal(err)
		}
		want := options(strings.Join(helpOption.FindAllString(help, -1), "\n"))
		got := onPage("pipex-" + verb)
		for _, option := range want {
			if !slices.Contains(got, option) && !slices.Contains(common, option) {
				t.Errorf("pipex-%s: %s is not in the page", verb, option)
			}
		}
		for _, option := range append(got, common...) {
			if !slices.Contains(want, option) {
				t.Errorf("pipex-%s has no %s", verb, option)
			}
		}
	}
}

func TestPagesThatAreLinkedExist(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	if len(pages) == 0 {
		t.Fatal("no pages")
	}
	for _, page := range append(pages, "../README.md", "../CONTRIBUTING.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range pageLink.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), link[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}
