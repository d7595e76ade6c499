package step

// Pinned is a step as prepare has decided it: everything in it is pinned to
// content, and nothing is left to be looked up. It is the one form of a decided
// step. meta.json holds it, under the names that @livingdata/pipex gives the
// fields; the fingerprint is computed from it, --explain compares two of them,
// and exec makes a container of it.
//
// A tag says of each field what it is in the fingerprint, or why it decides
// nothing; see [Pinned.Fingerprint].
type Pinned struct {
	// StepID is the step's name, and StepName what people call it.
	StepID   string `json:"stepId,omitempty" fingerprint:"-" why:"a step is the same under another name"`
	StepName string `json:"stepName,omitempty" fingerprint:"-" why:"for people"`
	// Image is the reference that was asked for; empty for a run without a
	// container. ImageDigest is the manifest or index that it stood for, ImageID
	// the digest of the image's configuration, which names the layers.
	Image       string `json:"image" fingerprint:"-" why:"one image may have several names; imageId decides"`
	ImageDigest string `json:"imageDigest,omitempty" fingerprint:"-" why:"one image may be in several indexes; imageId decides"`
	ImageID     string `json:"imageId,omitempty" fingerprint:"image"`
	Options
	// Inputs keep their order: of two that are copied, the later one wins.
	Inputs  []PinnedInput `json:"inputs,omitempty" fingerprint:"inputs"`
	Mounts  []PinnedMount `json:"mounts,omitempty" fingerprint:"mounts"`
	Sources []PinnedMount `json:"sources,omitempty" fingerprint:"sources"`
	// CacheMounts are the caches and where the step sees them. Caches are their
	// names, as @livingdata/pipex records them.
	CacheMounts []Cache       `json:"cacheMounts,omitempty" fingerprint:"caches"`
	Caches      []string      `json:"caches,omitempty" fingerprint:"-" why:"the names in cacheMounts"`
	Tmpfs       []PinnedTmpfs `json:"tmpfs,omitempty" fingerprint:"tmpfs"`
	// Userns maps the container's users; nil for a container without a user
	// namespace of its own.
	Userns *IDMap       `json:"userns,omitempty" fingerprint:"userns"`
	Setup  *PinnedSetup `json:"setup,omitempty" fingerprint:"setup"`
	// AllowNetwork is true unless Network is none, as @livingdata/pipex records it.
	AllowNetwork bool `json:"allowNetwork" fingerprint:"-" why:"network decides"`
	// TimeoutMs ends the command after so many milliseconds; 0 for never.
	TimeoutMs int64 `json:"timeoutMs,omitempty" fingerprint:"-" why:"it bounds a run; what it ends is a failure"`
	// Limits are nil if there are none.
	Limits *PinnedLimits `json:"limits,omitempty" fingerprint:"-" why:"they bound a run; what succeeds within them is the same"`
}

// PinnedInput is a committed run whose artifacts a step reads.
type PinnedInput struct {
	Step  string `json:"step"`
	RunID string `json:"runId"`
	// MountedAs is where the container sees them; empty for nowhere.
	MountedAs string `json:"mountedAs,omitempty"`
	// Digest is the digest of the artifacts.
	Digest string `json:"digest"`
	// Copied says that the artifacts were copied into the output first.
	Copied bool `json:"copied,omitempty"`
}

// PinnedMount is a host file or directory that a step reads.
type PinnedMount struct {
	// HostPath is absolute and free of symbolic links.
	HostPath      string `json:"hostPath"`
	ContainerPath string `json:"containerPath"`
	// Digest is the digest of the content when the step was prepared.
	Digest string `json:"digest"`
}

// PinnedSetup is what a run's first exec runs before the command.
type PinnedSetup struct {
	Cmd []string `json:"cmd"`
	// AllowNetwork is true unless Network is none.
	AllowNetwork bool    `json:"allowNetwork"`
	Network      Network `json:"network"`
	// CacheMounts are the setup's own caches, and Caches their names.
	Caches      []string `json:"caches,omitempty"`
	CacheMounts []Cache  `json:"cacheMounts,omitempty"`
}

// PinnedTmpfs is a directory in memory, of at most Bytes; 0 for no limit.
type PinnedTmpfs struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes,omitempty"`
}

// PinnedLimits are [Limits] in the form of meta.json: sizes in bytes.
type PinnedLimits struct {
	MemoryBytes int64    `json:"memoryBytes,omitempty"`
	CPUs        float64  `json:"cpus,omitempty"`
	Pids        int64    `json:"pids,omitempty"`
	ShmBytes    int64    `json:"shmBytes,omitempty"`
	Ulimits     []string `json:"ulimits,omitempty"`
	// LogMaxBytes is how much of each log is kept.
	LogMaxBytes int64 `json:"logMaxBytes,omitempty"`
}

// IDMap maps root of a user namespace (user_namespaces(7)) to UID and GID, and the
// [IDCount] users and groups after root to those from SubUID and SubGID on.
type IDMap struct {
	UID    uint32 `json:"uid"`
	GID    uint32 `json:"gid"`
	SubUID uint32 `json:"subUid"`
	SubGID uint32 `json:"subGid"`
}

// IDCount is how many ids besides root's a user namespace has: all 16-bit ones.
const IDCount = 65535

// HostUID is the user outside of the namespace that a user of it is.
func (m *IDMap) HostUID(id uint32) uint32 { return hostID(id, m.UID, m.SubUID) }

// HostGID is the group outside of the namespace that a group of it is.
func (m *IDMap) HostGID(id uint32) uint32 { return hostID(id, m.GID, m.SubGID) }

// hostID leaves an id that is not mapped as it is; the container shows it as nobody.
func hostID(id, root, sub uint32) uint32 {
	switch {
	case id == 0:
		return root
	case id <= IDCount:
		return sub + id - 1
	}
	return id
}

// Pin returns what of s is decided by s alone. Still missing are what prepare has
// to look up: the image, the inputs, the content of mounts and sources, users.
// s is complete; see [Spec.Complete].
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

// cacheNames are the caches' names.
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
