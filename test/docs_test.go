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
	helpOption = regexp.MustCompile(`(?m)^  (-\w, )?(-\w\b|--[a-z0-9-]+)`)
	pageOption = regexp.MustCompile(`(?m)^\*\*-.*$`)
	anyOption  = regexp.MustCompile(`\B--?[a-z0-9][a-z0-9-]*`)
	pageLink   = regexp.MustCompile(`\]\(([A-Za-z0-9./-]*)(#[\w-]+)?\)`)
	heading    = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInSlug  = regexp.MustCompile(`[^a-z0-9 _-]`)
	codeFence  = regexp.MustCompile("(?ms)^```.*?^```$")
)

// options are the sorted, distinct options in text.
func options(text string) []string {
	all := anyOption.FindAllString(text, -1)
	slices.Sort(all)
	return slices.Compact(all)
}

// page returns the text of a page of docs.
func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../docs", name+".md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// optionsOnPage returns the options that a page describes.
func optionsOnPage(t *testing.T, name string) []string {
	t.Helper()
	return options(strings.Join(pageOption.FindAllString(page(t, name), -1), "\n"))
}

// programs returns the names of all programs, and whether each is Go.
func programs(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, pattern := range []string{"../cmd/*/main.go", "../scripts/*/main.go"} {
		mains, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, main := range mains {
			all[filepath.Base(filepath.Dir(main))] = true
		}
	}
	scripts, err := filepath.Glob("../scripts/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range scripts {
		if info, err := os.Stat(script); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			all[filepath.Base(script)] = false
		}
	}
	return all
}

// pageOf returns the name of the page of a program. pipex.md is pipex(7).
func pageOf(program string) string {
	if program == "pipex" {
		return "pipex.1"
	}
	return program
}

// Every program has a page in section 1, each such page a program, and pipex(1) names it.
func TestPagesOfThePrograms(t *testing.T) {
	all := programs(t)
	if len(all) < 20 {
		t.Fatalf("only %d programs", len(all))
	}
	overview := page(t, "pipex.1")
	for program := range all {
		if text := page(t, pageOf(program)); !strings.HasPrefix(text, "# "+program+"(1)\n") {
			t.Errorf("%s.md is not the page of %s(1)", pageOf(program), program)
		}
		if program != "pipex" && !strings.Contains(overview, "("+program+".md)") {
			t.Errorf("pipex.1.md does not name %s", program)
		}
	}
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range pages {
		title, _, _ := strings.Cut(page(t, strings.TrimSuffix(filepath.Base(file), ".md")), "\n")
		program, isPage := strings.CutSuffix(strings.TrimPrefix(title, "# "), "(1)")
		if _, known := all[program]; isPage && !known {
			t.Errorf("%s: there is no program %q", file, program)
		}
	}
}

// others are options in the help of a program that are those of another one.
var others = map[string][]string{
	"pipex-step": {"--cached", "-j"}, // pipex-prepare's, make's
}

// Every option that a program's --help has is on its page or, if it is one of every verb, on
// that of all; and no page has an option that its program has not.
func TestPagesHaveTheOptions(t *testing.T) {
	t.Parallel()
	common := optionsOnPage(t, "pipex")
	for program, isGo := range programs(t) {
		file := filepath.Join("../scripts", program)
		if isGo {
			file = filepath.Join(verbs(t), program)
		}
		help, err := output(file, "--help")
		if err != nil {
			t.Fatal(err)
		}
		// The help of lib/cli has an option a line. In that of a script they stand in the text.
		listed := strings.Contains(help, "\nOPTIONS\n")
		want := options(help)
		if listed {
			want = options(strings.Join(helpOption.FindAllString(help, -1), "\n"))
		}
		got := optionsOnPage(t, pageOf(program))
		for _, option := range want {
			if !slices.Contains(got, option) && !slices.Contains(common, option) && !slices.Contains(others[program], option) {
				t.Errorf("%s: %s is not on its page", program, option)
			}
		}
		if listed {
			got = append(got, common...)
		}
		for _, option := range got {
			// The usage of a script does not repeat all forms of an option of every verb.
			if !slices.Contains(want, option) && (listed || !slices.Contains(common, option)) {
				t.Errorf("%s has no %s", program, option)
			}
		}
	}
}

// slugs returns the anchors that GitHub gives to the headings of a page.
func slugs(text string) (all []string) {
	for _, h := range heading.FindAllStringSubmatch(codeFence.ReplaceAllString(text, ""), -1) {
		all = append(all, "#"+strings.ReplaceAll(notInSlug.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-"))
	}
	return all
}

// Every page and heading that a page links to exists.
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
			to, anchor := filepath.Join(filepath.Dir(page), link[1]), link[2]
			if link[1] == "" {
				to = page
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %v", page, err)
				continue
			}
			if anchor == "" {
				continue
			}
			if there, err := os.ReadFile(to); err != nil || !slices.Contains(slugs(string(there)), anchor) {
				t.Errorf("%s: no heading %s in %s", page, anchor, to)
			}
		}
	}
}
