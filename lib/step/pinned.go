package step

// Pinned is a step as prepare has decided it. Everything in it is pinned to content:
// images, inputs and mounts have digests, and exec has nothing left to look up.
//
// It is the only form of a decided step. meta.json holds it, under the field names of
// @livingdata/pipex; the fingerprint is computed from it; --explain compares two of
// them; exec creates the container from it.
//
// A tag says how each field enters the fingerprint, or why it does not; see
// [Pinned.Fingerprint]. A field that is not present has its zero value.
type Pinned struct {
	// StepID is the step's name; not present for a run that belongs to no step.
	StepID string `json:"stepId,omitempty" fingerprint:"-" why:"a step is the same under another name"`
	// StepName is a title for people.
	StepName string `json:"stepName,omitempty" fingerprint:"-" why:"for people"`
	// Image is the image reference as given; empty for a run without a container.
	Image string `json:"image" fingerprint:"-" why:"one image may have several names; imageId decides"`
	// ImageDigest is the digest of the manifest or index that Image referred to. Exec
	// fetches the image by it if it is gone. Not present without an image.
	ImageDigest string `json:"imageDigest,omitempty" fingerprint:"-" why:"one image may be in several indexes; imageId decides"`
	// ImageID is the digest of the image's configuration, which lists the layers. Not
	// present without an image.
	ImageID string `json:"imageId,omitempty" fingerprint:"image"`
	Options
	// Inputs are the runs that the step reads, in the order given. If two copied
	// inputs have a file of the same name, the later one's is kept.
	Inputs []PinnedInput `json:"inputs,omitempty" fingerprint:"inputs"`
	// Mounts are the host files and directories that the container sees read-only.
	Mounts []PinnedMount `json:"mounts,omitempty" fingerprint:"mounts"`
	// Sources are the host files and directories of which it gets a writable copy.
	Sources []PinnedMount `json:"sources,omitempty" fingerprint:"sources"`
	// CacheMounts are the caches and where the container sees them.
	CacheMounts []Cache `json:"cacheMounts,omitempty" fingerprint:"caches"`
	// Caches are the names of CacheMounts, as @livingdata/pipex records them.
	Caches []string `json:"caches,omitempty" fingerprint:"-" why:"the names in cacheMounts"`
	// Tmpfs are the directories in memory.
	Tmpfs []PinnedTmpfs `json:"tmpfs,omitempty" fingerprint:"tmpfs"`
	// Userns maps users and groups of the container to the host's. Not present if the
	// container has no user namespace of its own.
	Userns *IDMap `json:"userns,omitempty" fingerprint:"userns"`
	// Setup is the command that runs once, before the step's own; not present if
	// there is none.
	Setup *PinnedSetup `json:"setup,omitempty" fingerprint:"setup"`
	// AllowNetwork is true unless Network is none. @livingdata/pipex reads it.
	AllowNetwork bool `json:"allowNetwork" fingerprint:"-" why:"network decides"`
	// TimeoutMs is how long the command may run, in milliseconds; 0 for no limit.
	TimeoutMs int64 `json:"timeoutMs,omitempty" fingerprint:"-" why:"a run that it ends is a failure, and failures are never reused"`
	// Limits are the resource limits; not present if there are none.
	Limits *PinnedLimits `json:"limits,omitempty" fingerprint:"-" why:"a run that succeeds within its limits has the same output"`
}

// PinnedInput is a committed run whose artifacts a step reads.
type PinnedInput struct {
	// Step is the name of the step that the run belongs to.
	Step string `json:"step"`
	// RunID is the run. Prune keeps it while the run that reads it is open.
	RunID string `json:"runId"`
	// MountedAs is where the container sees the artifacts; not present if it does not.
	MountedAs string `json:"mountedAs,omitempty"`
	// Digest is the digest of the artifacts.
	Digest string `json:"digest"`
	// Copied says that prepare copied the artifacts into the output.
	Copied bool `json:"copied,omitempty"`
}

// PinnedMount is a host file or directory that a step reads.
type PinnedMount struct {
	// HostPath is the absolute path on the host, symbolic links resolved.
	HostPath string `json:"hostPath"`
	// ContainerPath is where the container sees it.
	ContainerPath string `json:"containerPath"`
	// Digest is the digest of the content at the time of prepare.
	Digest string `json:"digest"`
}

// PinnedSetup is the command that the first exec of a run runs before the step's own.
type PinnedSetup struct {
	// Cmd is the command, without the image's entrypoint.
	Cmd []string `json:"cmd"`
	// AllowNetwork is true unless Network is none.
	AllowNetwork bool `json:"allowNetwork"`
	// Network is the setup's network.
	Network Network `json:"network"`
	// Caches are the names of CacheMounts.
	Caches []string `json:"caches,omitempty"`
	// CacheMounts are the setup's own caches, in addition to the step's.
	CacheMounts []Cache `json:"cacheMounts,omitempty"`
}

// PinnedTmpfs is a directory in memory.
type PinnedTmpfs struct {
	// Path is the directory in the container.
	Path string `json:"path"`
	// Bytes is its greatest size; 0 for no limit other than the memory.
	Bytes int64 `json:"bytes,omitempty"`
}

// PinnedLimits are the [Limits] as meta.json holds them; 0 is no limit.
type PinnedLimits struct {
	// MemoryBytes is the greatest memory use, in bytes.
	MemoryBytes int64 `json:"memoryBytes,omitempty"`
	// CPUs is how many processors may be used at once, fractions allowed.
	CPUs float64 `json:"cpus,omitempty"`
	// Pids is the greatest number of processes and threads.
	Pids int64 `json:"pids,omitempty"`
	// ShmBytes is the size of /dev/shm, in bytes; 0 for the default.
	ShmBytes int64 `json:"shmBytes,omitempty"`
	// Ulimits are NAME=SOFT[:HARD], as for setrlimit(2).
	Ulimits []string `json:"ulimits,omitempty"`
	// LogMaxBytes is how many bytes of each log are kept.
	LogMaxBytes int64 `json:"logMaxBytes,omitempty"`
}

// IDMap maps ids of a user namespace to ids of the host (user_namespaces(7)).
type IDMap struct {
	// UID and GID are the host's ids for root of the namespace.
	UID uint32 `json:"uid"`
	GID uint32 `json:"gid"`
	// SubUID and SubGID are the host's ids for id 1 of the namespace. The [IDCount]
	// ids from 1 on are mapped to as many from there on.
	SubUID uint32 `json:"subUid"`
	SubGID uint32 `json:"subGid"`
}

// IDCount is how many ids a user namespace has besides root: all other 16-bit ids.
const IDCount = 65535

// HostUID returns the host's id of a user of the namespace.
func (m *IDMap) HostUID(id uint32) uint32 { return hostID(id, m.UID, m.SubUID) }

// HostGID returns the host's id of a group of the namespace.
func (m *IDMap) HostGID(id uint32) uint32 { return hostID(id, m.GID, m.SubGID) }

// hostID maps one id. An id that is not mapped is returned as it is; the container
// shows it as nobody.
func hostID(id, root, sub uint32) uint32 {
	switch {
	case id == 0:
		return root
	case id <= IDCount:
		return sub + id - 1
	}
	return id
}

// Pin returns a Pinned with the fields that s alone decides. Prepare looks up the
// rest: the image, the inputs, the content of mounts and sources, and the user
// namespace. s must be complete; see [Spec.Complete].
func (s *Spec) Pin() *Pinned {
	p := &Pinned{
		StepID: s.Step, StepName: s.Name, Image: s.Image, Options: s.Options,
		AllowNetwork: s.Network != NetworkNone, TimeoutMs: s.Timeout.milliseconds(), Limits: s.Limits.pin(),
	}
	p.Caches, p.CacheMounts = cacheNames(s.Caches), s.Caches
	for _, t := range s.Tmpfs {
		p.Tmpfs = append(p.Tmpfs, PinnedTmpfs{Path: t.Path, Bytes: int64(t.Size)})
	}
	if s.Setup != nil {
		p.Setup = &PinnedSetup{
			Cmd: s.Setup.Cmd, AllowNetwork: s.Setup.Network != NetworkNone, Network: s.Setup.Network,
			Caches: cacheNames(s.Setup.Caches), CacheMounts: s.Setup.Caches,
		}
	}
	return p
}

// cacheNames returns the names of caches.
func cacheNames(caches []Cache) (names []string) {
	for _, c := range caches {
		names = append(names, c.Name)
	}
	return names
}

func (l Limits) none() bool {
	return l.Memory == 0 && l.CPUs == 0 && l.Pids == 0 && l.ShmSize == 0 && l.LogMax == 0 && len(l.Ulimits) == 0
}

func (l Limits) pin() *PinnedLimits {
	if l.none() {
		return nil
	}
	return &PinnedLimits{
		MemoryBytes: int64(l.Memory), CPUs: l.CPUs, Pids: l.Pids, ShmBytes: int64(l.ShmSize), Ulimits: l.Ulimits, LogMaxBytes: int64(l.LogMax),
	}
}
