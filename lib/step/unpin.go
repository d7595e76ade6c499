package step

import "time"

// Spec returns the step that p was decided from: the spec that would be decided the same
// way if nothing had changed. What a record does not have is lost: the pull policy, whether
// an input was optional or of a given run (it is optional, and the run that its step is
// linked to now), and whether the command, the working directory and the user were the
// image's own.
func (p *Pinned) Spec() *Spec {
	s := &Spec{
		Step: p.StepID, Name: p.StepName, Image: p.Image, Options: p.Options, Caches: p.CacheMounts,
		Mounts: mountsOf(p.Mounts), Sources: mountsOf(p.Sources),
		Timeout: Duration(time.Duration(p.TimeoutMs) * time.Millisecond), Userns: p.Userns != nil,
	}
	for _, in := range p.Inputs {
		s.Inputs = append(s.Inputs, Input{Step: in.Step, Path: in.MountedAs, Optional: true, Copy: in.Copied})
	}
	for _, t := range p.Tmpfs {
		s.Tmpfs = append(s.Tmpfs, Tmpfs{Path: t.Path, Size: Size(t.Bytes)})
	}
	if p.Setup != nil {
		s.Setup = &Setup{Cmd: p.Setup.Cmd, Network: p.Setup.Network, Caches: p.Setup.CacheMounts}
	}
	if l := p.Limits; l != nil {
		s.Limits = Limits{Memory: Size(l.MemoryBytes), CPUs: l.CPUs, Pids: l.Pids, ShmSize: Size(l.ShmBytes), LogMax: Size(l.LogMaxBytes), Ulimits: l.Ulimits}
	}
	return s
}

func mountsOf(pinned []PinnedMount) (list []Mount) {
	for _, m := range pinned {
		list = append(list, Mount{Host: m.HostPath, Path: m.ContainerPath})
	}
	return list
}
