package pipeline

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"pipex/lib/step"
)

// appDir is where a kit has the sources.
const appDir = "/app"

// kit is the recipe of the kit that a step uses.
func (o object) kit() recipe {
	uses := o.text("uses")
	if uses == "" {
		return recipe{}
	}
	kit, err := o.findKit(uses)
	switch {
	case err != nil:
		o.fail(o.get("uses"), "uses: %v", err)
		return recipe{}
	case kit.Builtin():
		return builtin[uses](o)
	}
	return o.custom(kit)
}

// with are a kit's parameters.
func (o object) with(keys ...string) object {
	n := o.get("with")
	if n == nil {
		n = &yaml.Node{Kind: yaml.MappingNode, Line: o.get("uses").Line}
	}
	return o.object(n, "with", keys...)
}

// src is the directory of the sources.
func (o object) src() []step.Mount {
	if o.get("src") == nil {
		return nil
	}
	return []step.Mount{{Host: o.host("src"), Path: appDir}}
}

func sh(script string) []string { return []string{"sh", "-c", script} }

// install is a setup that fetches something and keeps it in a cache, one at a time.
func install(script, cache, path string) *setup {
	allowed := true
	return &setup{cmd: sh(script), caches: []step.Cache{{Name: cache, Path: path, Exclusive: true}}, network: &allowed}
}

func (o object) shell() recipe {
	with := o.with("run", "packages", "image", "src")
	if !o.chained {
		with.require(`kit "shell"`, "run")
	}
	r := recipe{image: "alpine:3.20", mounts: with.src()}
	if run := with.text("run"); run != "" {
		r.cmd = sh(run)
	}
	if packages := with.texts("packages"); len(packages) > 0 {
		r.image = "debian:bookworm-slim"
		r.setup = install("apt-get update && apt-get install -y --no-install-recommends "+strings.Join(packages, " ")+" && rm -rf /var/lib/apt/lists/*",
			"apt-cache", "/var/cache/apt")
		r.capAdd = []string{"SETUID", "SETGID"} // apt fetches as another user
	}
	if image := with.text("image"); image != "" {
		r.image = image
	}
	return r
}

// language is a kit that runs a script of the sources and installs what it needs.
type language struct {
	name             string // of the kit, the image and the program
	version, variant string
	managers         []manager // the first one by default
	// copied says that the sources are in the container as a copy, where an install
	// can write beside them.
	copied bool
}

type manager struct{ name, install, cache, path string }

var node = language{
	name: "node", version: "24", variant: "alpine", copied: true,
	managers: []manager{
		{"npm", "cd /app && npm install --no-package-lock --no-audit --no-fund 2>&1", "npm-cache", "/root/.npm"},
		{"pnpm", "cd /app && pnpm install --no-frozen-lockfile 2>&1", "pnpm-store", "/root/.local/share/pnpm/store"},
		{"yarn", "cd /app && yarn install 2>&1", "yarn-cache", "/usr/local/share/.cache/yarn"},
	},
}

var python = language{
	name: "python", version: "3.12", variant: "slim",
	managers: []manager{
		{"pip", "pip install --quiet --root-user-action=ignore -r /app/requirements.txt 2>&1", "pip-cache", "/root/.cache/pip"},
		{"uv", "uv pip install --quiet -r /app/requirements.txt 2>&1", "uv-cache", "/root/.cache/uv"},
	},
}

func (o object) language(l language) recipe {
	with := o.with("script", "run", "src", "version", "variant", "packageManager", "install")
	run, script := with.text("run"), with.text("script")
	switch has := with.get("run"); {
	case has != nil && with.get("script") != nil:
		o.fail(has, "kit %q: script and run exclude each other", l.name)
	case has == nil && with.get("script") == nil && o.chained:
	case has == nil && with.get("script") == nil:
		o.fail(with.node, "kit %q: script or run is missing", l.name)
	case has == nil:
		run = l.name + " " + appDir + "/" + script
	}
	r := recipe{image: l.name + ":" + with.literal("version", l.version) + "-" + with.literal("variant", l.variant)}
	if run != "" {
		r.cmd = sh(run)
	}
	m := l.manager(with)
	if wanted, set := with.flag("install"); wanted || !set {
		r.setup = install(m.install, m.cache, m.path)
	}
	if l.copied {
		r.sources = with.src()
	} else {
		r.mounts = with.src()
	}
	return r
}

// manager is the one of that name.
func (l language) manager(with object) manager {
	name := with.text("packageManager")
	var names []string
	for _, m := range l.managers {
		if m.name == name {
			return m
		}
		names = append(names, m.name)
	}
	if name != "" {
		with.fail(with.get("packageManager"), "kit %q: unknown packageManager %q; %s", l.name, name, suggest(name, names))
	}
	return l.managers[0]
}
