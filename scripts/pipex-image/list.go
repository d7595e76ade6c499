package main

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	units "github.com/docker/go-units"

	"pipex/lib/cli"
	"pipex/lib/images"
	"pipex/lib/step"
)

// listed is an image as JSON.
type listed struct {
	Name    string    `json:"name"`
	Digest  string    `json:"digest"`
	Size    int64     `json:"size"`
	Updated time.Time `json:"updatedAt"`
	Uses    []use     `json:"uses"`
}

type use struct {
	Workdir   string `json:"workdir,omitempty"`
	Workspace string `json:"workspace"`
	Step      string `json:"stepId,omitempty"`
	Run       string `json:"runId"`
	Open      bool   `json:"open"`
	Linked    bool   `json:"linked"`
}

func asListed(i images.Image) listed {
	l := listed{i.Name, i.Digest, i.Size, i.Updated.UTC(), []use{}}
	for _, u := range i.Uses {
		l.Uses = append(l.Uses, use{u.Workdir, u.Workspace, u.Step, u.Run, u.Open, u.Linked})
	}
	return l
}

func ls(c *cli.Call) (int, error) {
	if err := c.Operands(0, 0); err != nil {
		return 0, err
	}
	if err := connect(c); err != nil {
		return 0, err
	}
	place, ctx := c.Place(), c.Context.Context
	var all []images.Image
	var err error
	if c.Bool("digests") {
		all, err = images.Names(ctx, place)
	} else {
		uses, bad := images.Uses(ctx, place.Workdir, place.Containerd, images.Current)
		c.Warn(bad)
		all, err = images.List(ctx, place, uses)
	}
	if err != nil {
		return 0, err
	}
	out := bufio.NewWriter(os.Stdout)
	switch {
	case c.Bool("json"):
		for _, i := range all {
			if err := c.Print(asListed(i)); err != nil {
				return 0, err
			}
		}
	case c.Bool("digests"):
		for _, i := range all {
			fmt.Fprintln(out, cli.Harmless(i.Name+"@"+i.Digest))
		}
	default:
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "NAME\tSIZE\tAGE\tUSED BY")
		for _, i := range all {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", cli.Harmless(i.Name), units.CustomSize("%.4g%s", float64(i.Size), 1024, []string{"B", "K", "M", "G", "T", "P", "E"}), age(i.Age()), cli.Harmless(usedBy(i.Uses, place.Workspace)))
		}
		t.Flush()
	}
	if err := out.Flush(); err != nil {
		return 0, fmt.Errorf("cannot print: %w", err)
	}
	return 0, nil
}

// usedBy names the steps and open runs that use an image, and not more of them than a line holds:
// those of the workspace that is meant without it.
func usedBy(uses []images.Use, workspace string) string {
	if len(uses) == 0 {
		return "-"
	}
	const most = 4
	var words []string
	for _, u := range uses {
		word := u.Step
		if word == "" {
			word = u.Run
		}
		if u.Open {
			word += "@open"
		}
		if u.Workdir != "" {
			word = u.Workdir + "/" + u.Workspace + "/" + word
		} else if u.Workspace != workspace {
			word = u.Workspace + "/" + word
		}
		words = append(words, word)
	}
	slices.Sort(words)
	words = slices.Compact(words)
	if more := len(words) - most; more > 0 {
		words = append(words[:most], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(words, ", ")
}

// age writes a time in the greatest unit of which there is one.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

func rm(c *cli.Call) (int, error) {
	if err := c.Operands(1, -1); err != nil {
		return 0, err
	}
	if err := connect(c); err != nil {
		return 0, err
	}
	return c.Each(c.Args, func(ref string) error {
		return images.Remove(c.Context.Context, c.Place(), ref, c.Bool("force"))
	})
}

func prune(c *cli.Call) (int, error) {
	if err := c.Operands(0, 0); err != nil {
		return 0, err
	}
	old, err := step.ParseAge(c.String("older-than"))
	if err != nil {
		return 0, err
	}
	if err := connect(c); err != nil {
		return 0, err
	}
	var printing error
	young, err := images.Prune(c.Context.Context, c.Place(), images.PruneOptions{OlderThan: old, DryRun: c.Bool("dry-run")}, func(i images.Image) {
		if err := c.Print(asListed(i), cli.Harmless(i.Name)); err != nil {
			printing = err
		}
	})
	if young > 0 {
		c.Say("kept %d %s younger than %s; --older-than 0s removes them", young, map[bool]string{true: "image", false: "images"}[young == 1], c.String("older-than"))
	}
	if err == nil {
		err = printing
	}
	return 0, err
}
