// pipex-image makes, imports, lists and removes images, without a registry.
package main

import (
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"pipex/lib/cli"
	"pipex/lib/images"
	"pipex/lib/name"
)

// command is one of pipex-image's; each has options of its own.
type command struct {
	synopsis, about string
	flags           []ucli.Flag
	example         string
	do              func(*cli.Call) (int, error)
}

var (
	olderThan = &ucli.StringFlag{Name: "older-than", Usage: "prune: remove only what was pulled or imported more than `AGE` ago, such as 12h or 30d; 0s for everything", Value: "1d"}
	dryRun    = &ucli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Usage: "prune: remove nothing, print what would be removed"}
	force     = &ucli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "rm: also remove what an open run uses"}
	digests   = &ucli.BoolFlag{Name: "digests", Usage: "ls: print NAME@DIGEST for each image and nothing else"}
	asJSON    = &ucli.BoolFlag{Name: "json", Usage: "ls, import, prune: print each image as a JSON object"}
)

var commands = map[string]command{
	"busybox":  {"[NAME]", "Make an image of the machine's static busybox. NAME is busybox, unless it is given.", nil, "busybox", busybox},
	"packages": {"NAME PACKAGE... [-- CMD [ARG...]]", "Make an image of Debian packages that are installed here, and of what they depend on.", nil, "packages tools jq gawk", packages},
	"dir":      {"DIRECTORY NAME [-- CMD [ARG...]]", "Make an image of a directory with a root file system. CMD is what it runs by default.", nil, "dir root tools", dir},
	"import":   {"[OPTION]... FILE|DIRECTORY|- [NAME]", "Take the images of an archive, as buildah, podman, docker save and other tools write them, or\nof an OCI layout. NAME is for an image to which the archive gives no or another name.", []ucli.Flag{asJSON}, "import app.tar app", load},
	"push":     {"[OPTION]... NAME [REF]", "Send an image to the registry of REF, and give it that name here, too; so other machines find it. Prints\nREF and the digest.", []ucli.Flag{cli.HostsDir}, "push app registry.example.org/team/app", push},
	"ls":       {"[OPTION]...", "List the images: size, age, and which steps and open runs use them.", []ucli.Flag{digests, asJSON}, "ls", ls},
	"rm":       {"[OPTION]... NAME...", "Remove images, if they are there. One that an open run uses is refused.", []ucli.Flag{force}, "rm app", rm},
	"prune":    {"[OPTION]...", "Remove the images that no run of the workdir's workspaces uses. Prints their names.", []ucli.Flag{olderThan, dryRun, asJSON}, "prune --older-than 30d", prune},
}

func main() {
	verb := cli.Verb{
		Name:     "pipex-image",
		Statuses: []string{"0    done", "1    no: rm of an image that an open run uses; prune without a workspace", "128  failed: the reason is on stderr", "129  wrong usage: nothing was changed"},
		// It moves no file itself, and what the caller may read is to be theirs.
		Plain: true, Command: true,
		Do: unknown,
	}
	if len(os.Args) > 1 {
		if c, ok := commands[os.Args[1]]; ok {
			verb.Synopsis, verb.About, verb.Flags, verb.Examples = []string{os.Args[1] + " " + c.synopsis}, c.about, c.flags, []string{"pipex-image " + c.example}
			verb.Do = func(call *cli.Call) (int, error) { return start(call, c) }
			os.Args = slices.Delete(os.Args, 1, 2)
			cli.Main(verb)
		}
	}
	for _, word := range order() {
		c := commands[word]
		verb.Synopsis = append(verb.Synopsis, word+" "+c.synopsis)
		verb.About += word + ": " + c.about + "\n"
		verb.Examples = append(verb.Examples, "pipex-image "+c.example)
	}
	verb.About = "Images for the containerd that the verbs find, in its namespace pipex.\n\n" + strings.TrimSuffix(verb.About, "\n")
	verb.Flags = []ucli.Flag{digests, force, olderThan, dryRun, asJSON, cli.HostsDir}
	cli.Main(verb)
}

func order() []string {
	return []string{"busybox", "packages", "dir", "import", "push", "ls", "rm", "prune"}
}

func unknown(c *cli.Call) (int, error) {
	words := slices.Sorted(maps.Keys(commands))
	if len(c.Args) == 0 {
		return 0, name.Usage("a command is wanted: %s", strings.Join(order(), ", "))
	}
	if slices.Contains(words, c.Args[0]) {
		return 0, name.Usage("options come after the command: pipex-image %s %s", c.Args[0], commands[c.Args[0]].synopsis)
	}
	if near := name.Near(c.Args[0], words); near != "" {
		return 0, name.Usage("unknown command %q; did you mean %s?", c.Args[0], near)
	}
	return 0, name.Usage("unknown command %q; pipex-image --help lists them", c.Args[0])
}

// answerWait is how long containerd may take to answer, unless --rpc-timeout says otherwise.
const answerWait = 10 * time.Second

func start(c *cli.Call, cmd command) (int, error) {
	return cmd.do(c)
}

// connect checks that a containerd answers, before the work begins.
func connect(c *cli.Call) error {
	within := answerWait
	if c.IsSet("rpc-timeout") {
		within = c.Duration("rpc-timeout")
	}
	return images.Answers(c.Context.Context, c.Place().Containerd, within)
}
