# pipex.mk: steps as make targets, for GNU make 4.2 and later. A step is a line, a
# variable called step.NAME with the arguments of pipex-step; include this after them.
#
#	all: count
#	step.lines = --image busybox --mount src:/src -- sh /src/lines.sh
#	step.count = --image busybox --input lines -- sh -c 'wc -l </input/lines/all >/output/n'
#	include pipex.mk
#
# `make count` makes a step and what it needs. A step is looked at again when its
# line, one of the steps or files that it reads (inputs, mounts, sources, env files,
# specs, and the paths in reads.NAME), a variable that it takes over, the image, or
# its run is not what it was; and run if then its fingerprint has no run.
#
# Variables:
#	RETRIES=N RETRY_DELAY=SECONDS ALLOW_FAILURE=1
#			for all steps, or for one (count: RETRIES = 2)
#	ENV_FILE=FILE	for all steps
#	FORCE='NAME...'	and FORCE=all, as make -B: run what is up to date

PIPEX_WORKDIR   ?= workdir
PIPEX_WORKSPACE ?= default
export PIPEX_WORKDIR PIPEX_WORKSPACE

# A step's targets are two files beside the runs: its stamp moves when the step has
# been looked at and is linked, its output only when the artifacts have changed. Who
# reads the artifacts depends on the latter.
pipex.workspace := $(PIPEX_WORKDIR)/$(PIPEX_WORKSPACE)
pipex.stamps    := $(pipex.workspace)/.pipex/stamps
step-stamp      = $(addprefix $(pipex.stamps)/,$(1))
step-output     = $(patsubst %,$(pipex.stamps)/%.output,$(1))

pipex.goal  := $(.DEFAULT_GOAL)
PIPEX_STEPS := $(patsubst step.%,%,$(filter step.%,$(.VARIABLES)))
$(if $(PIPEX_STEPS),,$(error pipex.mk: no variable is called step.NAME; define the steps before the include))

# The words of a step's line that come before the command, without quotes; and what
# they give to an option.
pipex.empty :=
pipex.space := $(pipex.empty) $(pipex.empty)
pipex.joined  = $(subst $(pipex.space),␣,$(strip $(step.$(1))))
pipex.options = $(subst ",,$(subst ',,$(subst ␣, ,$(firstword $(subst ␣--␣, ,$(pipex.joined))))))
pipex.values = $(foreach o,$(1),$(patsubst --$(o)=%,%,$(filter --$(o)=%,$(subst --$(o) ,--$(o)=,$(pipex.options.$(2))))))
pipex.before = $(foreach v,$(2),$(firstword $(subst $(1), ,$(v))))

# make's own options of one letter. An output that is older than its stamp is as good;
# only make -q and -n would mind.
pipex.flags  := $(filter-out --%,$(firstword -$(MAKEFLAGS)))
pipex.older  := $(if $(findstring n,$(pipex.flags)),$(shell cd '$(pipex.stamps)' 2>/dev/null && \
	for s in *.output; do if [ "$$s" -ot "$${s%.output}" ]; then echo "$${s%.output}"; fi; done))
pipex.order  = $(if $(findstring q,$(pipex.flags))$(filter $(1),$(pipex.older)),|)
pipex.forced = $(filter all $(1),$(FORCE))$(findstring B,$(pipex.flags))

# The images of containerd as NAME@DIGEST, and the digest of one under any of the names
# that it may have there. None if it does not run, or if nothing has been made yet.
pipex.images := $(if $(wildcard $(pipex.stamps)),$(shell pipex-image ls --digests 2>/dev/null))
pipex.names  = $(foreach n,$(1) docker.io/library/$(1) docker.io/$(1),$(n) $(n):latest)
pipex.digest = $(lastword $(subst @, ,$(firstword $(foreach n,$(pipex.names),$(filter $(n)@sha256:%,$(pipex.images))))))

# A stamp holds the run, the digest of its image, and what make knows of the step.
define pipex.read
pipex.options.$(1)  := $$(call pipex.options,$(1))
pipex.inputs.$(1)   := $$(call pipex.before,=,$$(call pipex.before,:,$$(call pipex.values,input copy-input,$(1))))
pipex.optional.$(1) := $$(call pipex.before,=,$$(call pipex.before,:,$$(call pipex.values,optional-input,$(1))))
pipex.reads.$(1)    := $$(patsubst %/,%,$$(reads.$(1)) $$(call pipex.before,:,$$(call pipex.values,mount source,$(1))) $$(call pipex.values,env-file spec,$(1)) $(ENV_FILE))
pipex.known.$(1)    := $$(strip $$(step.$(1)) $(ENV_FILE) $$(foreach v,$$(call pipex.values,env,$(1)),$$(if $$(findstring =,$$(v)),,$$(v)=$$($$(v)))))
pipex.stamp.$(1)    := $$(strip $$(file <$(pipex.stamps)/$(1)))
endef
$(foreach s,$(PIPEX_STEPS),$(eval $(call pipex.read,$(s))))

# The steps that are somebody's optional input, and what these need.
pipex.needed   = $(sort $(1) $(foreach s,$(1),$(pipex.inputs.$(s))))
pipex.closed   = $(if $(filter-out $(1),$(pipex.needed)),$(call pipex.closed,$(pipex.needed)),$(1))
pipex.optional := $(call pipex.closed,$(sort $(foreach s,$(PIPEX_STEPS),$(pipex.optional.$(s)))))

# What the steps read, and below that, without what pipex keeps there itself, all that
# is newer than the oldest stamp: the rest is newer than none. A name with a blank in
# it, which make cannot hold, comes as LOST.
pipex.roots := $(sort $(foreach s,$(PIPEX_STEPS),$(pipex.reads.$(s))))
pipex.own   := $(wildcard $(PIPEX_WORKDIR)) $(patsubst %/pipex.lock,%,$(wildcard $(dir $(CONTAINERD_ADDRESS))pipex.lock .pipex-containerd/pipex.lock))
pipex.made  := $(wildcard $(call step-stamp,$(PIPEX_STEPS)))
pipex.find  = find $(patsubst %,'%',$(pipex.roots)) $(patsubst %,-samefile '%' -prune -o,$(pipex.own)) \
	-newer "$$(ls -tr $(pipex.made) | head -n 1)" \
	'(' -path '*[[:space:]]*' -printf '%H/LOST\n' -o -xtype l -o -print ')' 2>/dev/null
pipex.newer := $(if $(and $(pipex.made),$(pipex.roots)),$(shell $(pipex.find)))
pipex.files = $(wildcard $(pipex.reads.$(1))) $(filter-out %/LOST,$(filter $(addsuffix /%,$(pipex.reads.$(1))),$(pipex.newer)))
pipex.lost  = $(filter $(addsuffix /LOST,$(pipex.reads.$(1))),$(pipex.newer))$(filter-out $(wildcard $(pipex.reads.$(1))),$(pipex.reads.$(1)))

# What the stamp would hold now; of an image that is not known, what it does hold.
pipex.linked = $(notdir $(realpath $(pipex.workspace)/step-runs/$(1)))
pipex.image  = $(or $(call pipex.digest,$(firstword $(call pipex.values,image,$(1)))),$(word 2,$(pipex.stamp.$(1))))
pipex.now    = $(strip $(pipex.linked) $(pipex.image) $(pipex.known.$(1)))
pipex.differ = $(subst x$(1)x,,x$(2)x)$(subst x$(2)x,,x$(1)x)

# What the target of a step depends on; pipex.always has it looked at every time. What
# an optional input needs is tried as well: it fails then for want of an input.
pipex.again = $(if $(call pipex.differ,$(call pipex.now,$(1)),$(pipex.stamp.$(1)))$(pipex.lost)$(pipex.forced),pipex.always)
pipex.tries = $(patsubst %,$(pipex.stamps)/%.tried,$(filter $(PIPEX_STEPS),$(1)))
pipex.inputs = $(if $(filter $(1),$(pipex.optional)),$(call pipex.tries,$(pipex.inputs.$(1))),$(call step-output,$(filter $(PIPEX_STEPS),$(pipex.inputs.$(1)))))
pipex.needs = $(pipex.inputs) $(call pipex.tries,$(pipex.optional.$(1))) $(subst :,\:,$(pipex.files)) $(pipex.again)

# The shell that make starts is replaced by the step, so that make's signals reach it.
pipex.ours = $(if $(RETRIES),--retries $(RETRIES) )$(if $(RETRY_DELAY),--retry-delay $(RETRY_DELAY) )$(if $(ALLOW_FAILURE),--allow-failure )
pipex.run = exec pipex-step --stamp $(call step-stamp,$(1)) $(pipex.ours)$(2)$(1) $(if $(pipex.forced),,--cached )$(if $(ENV_FILE),--env-file $(ENV_FILE) )$(step.$(1))

# A step that is somebody's optional input may fail, and does not keep that one from
# running: it is tried, and whether it has succeeded is another target's matter.
define pipex.tried
$(call step-stamp,$(1)): $(pipex.stamps)/$(1).tried
	@test -e $$@
endef
define pipex.rules
.PHONY: $(1)
$(1): $(call step-output,$(1))
$(call step-output,$(1)): $(pipex.order) $(call step-stamp,$(1)) ;
$(2): export PIPEX_STAMP = $$(pipex.known.$(1))
$(2): $$(call pipex.needs,$(1))
	@$$(call pipex.run,$(1),$(3))
endef
$(foreach s,$(filter-out $(pipex.optional),$(PIPEX_STEPS)),$(eval $(call pipex.rules,$(s),$(call step-stamp,$(s)))))
$(foreach s,$(filter $(pipex.optional),$(PIPEX_STEPS)),$(eval $(call pipex.rules,$(s),$(pipex.stamps)/$(s).tried,--tried $(pipex.stamps)/$(s).tried ))$(eval $(call pipex.tried,$(s))))

# Without a goal of the user's own, all steps are made.
ifeq ($(pipex.goal),)
.PHONY: all
all: $(PIPEX_STEPS)
.DEFAULT_GOAL := all
endif
.PHONY: pipex.always
