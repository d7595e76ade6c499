// pipex-pull fetches images, so that pipex-prepare finds them. pipex-prepare starts it for an
// image that is missing, under its own name.
package main

import (
	"os"
	"path/filepath"

	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/pull"
	"pipex/lib/step"
)

func main() {
	verb := filepath.Base(os.Args[0])
	cli.Main(cli.Verb{
		Name:     verb,
		Synopsis: []string{"[OPTION]... IMAGE..."},
		About: "Pull images that are missing, or take them from another namespace of containerd, and\n" +
			"unpack them. Prints each one's digest. pipex-prepare does this itself for a step's image.",
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "pull", Usage: "`WHEN` to fetch an image: missing, always, never", Value: string(step.PullMissing)},
			&ucli.StringFlag{Name: "platform", Usage: "`OS/ARCH[/VARIANT]` of the images, if they have several (this machine's)"},
			cli.HostsDir, cli.JSON, cli.NUL,
		},
		Statuses: []string{
			"0    done: every image is here and unpacked",
			"128  failed: the reason is on stderr; other images may have been fetched",
			"129  wrong usage: nothing was fetched",
		},
		Examples: []string{"pipex-pull busybox docker.io/library/debian:12"},
		Do:       do,
	})
}

func do(c *cli.Call) (int, error) {
	if err := c.Operands(1, -1); err != nil {
		return 0, err
	}
	opt := pull.Options{HostsDir: c.String(cli.HostsDir.Name), Progress: pulling(c)}
	return c.Each(c.Args, func(ref string) error {
		img, err := opt.Get(c.Context.Context, c.Place().Containerd, pull.Wanted{Ref: ref, Pull: step.Pull(c.String("pull")), Platform: c.String("platform")})
		if err != nil {
			return err
		}
		return c.Print(struct {
			Image  string `json:"image"`
			Digest string `json:"digest"`
		}{ref, img.Digest}, img.Digest)
	})
}
