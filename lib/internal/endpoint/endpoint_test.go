package endpoint

import (
	"testing"
	"time"
)

func TestDefaultsReplaceZeroValuesOnly(t *testing.T) {
	all := Containerd{Address: "/run/containerd/containerd.sock", Start: "pipex-containerd start", Namespace: "pipex", Snapshotter: "overlayfs", Patience: 2 * time.Minute}
	if got := (Containerd{}).WithDefaults(); got != all {
		t.Errorf("%+v", got)
	}
	own := Containerd{Address: "unix:///a", Start: "s", Namespace: "n", Snapshotter: "native", Patience: time.Millisecond}
	if got := own.WithDefaults(); got != own {
		t.Errorf("%+v", got)
	}
	some := Containerd{Namespace: "n"}
	want := all
	want.Namespace = "n"
	if got := some.WithDefaults(); got != want || some.Address != "" {
		t.Errorf("%+v of %+v", got, some)
	}
}
