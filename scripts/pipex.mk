# pipex.mk: steps as make targets. Include it after the default goal, or say
# `make all`; it needs GNU make.
#
#	include pipex.mk
#	PIPEX_STEPS := lines count
#	all: $(call pipex-stamp,count)
#
#	$(call pipex-stamp,lines): lines.sh
#		$(PIPEX_STEP) --image busybox --mount $(CURDIR):/src -- sh /src/lines.sh
#
#	$(call pipex-stamp,count): $(call pipex-stamp,lines)
#		$(PIPEX_STEP) --image busybox $(PIPEX_INPUTS) -- sh -c 'wc -l </input/lines/all >/output/n'
#
#	$(pipex-aliases)
#
# A step's target is a plain file, its stamp, which moves only when the step has
# been linked; a step that fails leaves no stamp, and its run in staging. Steps
# that do not need each other run at once under -j.

PIPEX_WORKDIR   ?= workdir
PIPEX_WORKSPACE ?= default
export PIPEX_WORKDIR PIPEX_WORKSPACE

# Beside the runs, so that they go when the workspace goes.
PIPEX_STAMPS := $(PIPEX_WORKDIR)/$(PIPEX_WORKSPACE)/.pipex/stamps

# $(call pipex-stamp,STEP...): the targets of the steps.
pipex-stamp = $(addprefix $(PIPEX_STAMPS)/,$(1))

# In a recipe: runs the step that the target stands for, with what follows. The
# shell that make starts is replaced by it, so that make's signals reach it.
PIPEX_STEP = @exec pipex-step --stamp $@ $(@F)

# In a recipe: the steps among the prerequisites, as inputs.
PIPEX_INPUTS = $(patsubst $(PIPEX_STAMPS)/%,--input %,$(filter $(PIPEX_STAMPS)/%,$^))

# $(pipex-aliases): lets each of $(PIPEX_STEPS) be made by its bare name.
define pipex-aliases
$(eval .PHONY: $(PIPEX_STEPS))$(foreach s,$(PIPEX_STEPS),$(eval $(s): $(call pipex-stamp,$(s))))
endef
