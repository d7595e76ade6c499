# pipex.mk: steps as make targets, for GNU make 4.2 and later. A step is a line, a
# variable called step.NAME with the arguments of pipex-step; include this after them.
#
#	all: count
#	step.lines = --image busybox --mount src:/src -- sh /src/lines.sh
#	step.count = --image busybox --input lines -- sh -c 'wc -l </input/lines/all >/output/n'
#	include pipex.mk
#
# `make count` makes a step and what it needs; pipex-make(7) says when a step is
# looked at again. pipex-pipeline reads the lines and answers with rules.
#
#	PIPEX_EXEC=COMMAND
#			carries steps to other machines: pipex-ssh, pipex-srun, or any other;
#			for one: exec.NAME = COMMAND
#	RETRIES=N INFRA_RETRIES=N RETRY_DELAY=SECONDS ALLOW_FAILURE=1
#			for all steps, or for one (count: RETRIES = 2)
#	ENV_FILE=FILE	for all steps
#	FORCE='NAME...'	and FORCE=all, as make -B: run what is up to date
#	PIPEX_LABEL=1	each line that a step prints begins with [NAME]
#	PIPEX_QUIET=1	steps do not say when they start and are done; as make -s
#	PIPEX_LOGS=DIR	what each step prints goes to NAME.stdout and NAME.stderr there

PIPEX_WORKDIR   ?= workdir
PIPEX_WORKSPACE ?= default
export PIPEX_WORKDIR PIPEX_WORKSPACE PIPEX_EXEC PIPEX_NODE_DIR PIPEX_NODE_ADDRESS PIPEX_HOSTS PIPEX_CACHE_FROM

pipex.stamps := $(PIPEX_WORKDIR)/$(PIPEX_WORKSPACE)/.pipex/stamps
step-stamp    = $(addprefix $(pipex.stamps)/,$(1))
step-output   = $(addsuffix .output,$(step-stamp))

pipex.goal  := $(.DEFAULT_GOAL)
pipex.flags := $(filter-out --%,$(firstword -$(MAKEFLAGS)))
PIPEX_STEPS := $(patsubst step.%,%,$(filter step.%,$(.VARIABLES)))
$(if $(PIPEX_STEPS),,$(error pipex.mk: no variable is called step.NAME; define the steps before the include))

# What pipex-pipeline is told, a fact a line. Before make 4.4, make's own variables are
# not in the environment of a $(shell): those that a line takes over are told, too.
define pipex.line


endef
pipex.taken = $(foreach k,$(patsubst --env=%,%,$(filter --env=%,$(subst --env ,--env=,$(1)))),$(if $(findstring =,$(k))$(filter undefined,$(origin $(k))),,env $(k)=$($(k))$(pipex.line)))
pipex.step  = $(call pipex.taken,$(step.$(1)))step $(1) $(step.$(1))$(pipex.line)reads $(1) $(reads.$(1))$(pipex.line)
pipex.facts = $(call pipex.taken,--env CONTAINERD_ADDRESS --env PIPEX_NAMESPACE --env PIPEX_TRACE)stamps $(pipex.stamps)$(pipex.line)flags $(pipex.flags)$(pipex.line)force $(FORCE)$(pipex.line)quiet $(PIPEX_QUIET)$(PIPEX_LOGS)$(pipex.line)env-file $(ENV_FILE)$(pipex.line)$(foreach s,$(PIPEX_STEPS),$(call pipex.step,$(s)))
pipex.file := $(shell mktemp)
$(file >$(pipex.file),$(pipex.facts))
pipex.quote = '$(subst ','\'',$(1))'
pipex.rules := $(shell pipex-pipeline --workdir $(call pipex.quote,$(PIPEX_WORKDIR)) --workspace $(call pipex.quote,$(PIPEX_WORKSPACE)) --make $(call pipex.quote,$(pipex.file)))
$(if $(filter 0,$(.SHELLSTATUS)),,$(error pipex.mk: the steps cannot be looked at))

# The shell that make starts is replaced by the step, so that make's signals reach it.
$(if $(PIPEX_LOGS),$(shell mkdir -p $(call pipex.quote,$(PIPEX_LOGS))))
pipex.logs = $(if $(PIPEX_LOGS),>$(call pipex.quote,$(PIPEX_LOGS)/$(1).stdout) 2>$(call pipex.quote,$(PIPEX_LOGS)/$(1).stderr) )
pipex.ours = $(if $(exec.$(1)),--exec $(call pipex.quote,$(exec.$(1))) )$(if $(RETRIES),--retries $(RETRIES) )$(if $(INFRA_RETRIES),--infra-retries $(INFRA_RETRIES) )$(if $(RETRY_DELAY),--retry-delay $(RETRY_DELAY) )$(if $(ALLOW_FAILURE),--allow-failure )$(if $(PIPEX_LABEL),--label )$(if $(PIPEX_QUIET)$(findstring s,$(pipex.flags)),--quiet )
pipex.cached = $(if $(filter all $(1),$(FORCE))$(findstring B,$(pipex.flags)),,--cached )
pipex.run  = exec $(pipex.logs)pipex-step --stamp $(step-stamp) $(pipex.ours)$(2)$(1) $(pipex.cached)$(if $(ENV_FILE),--env-file $(ENV_FILE) )$(step.$(1))
$(eval $(subst ␤,$(pipex.line),$(pipex.rules)))

# Without a goal of the user's own, all steps are made.
ifeq ($(pipex.goal),)
.PHONY: all
all: $(PIPEX_STEPS)
.DEFAULT_GOAL := all
endif
