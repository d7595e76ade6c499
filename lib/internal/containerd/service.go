package containerd

import (
	"context"
	"errors"
	"io"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/leases"
	"github.com/containerd/containerd/mount"
	"github.com/containerd/containerd/snapshots"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// containerd has packages that do what follows. They link a comparer of values for its tests,
// which takes a tenth of a program's start.

// Leases are the calls of the lease service that a run needs.
type Leases struct{ client leasesapi.LeasesClient }

// Leases returns the lease service of the namespace.
func (c *Client) Leases() Leases { return Leases{leasesapi.NewLeasesClient(c.Conn)} }

// Create creates a lease.
func (s Leases) Create(ctx context.Context, opts ...leases.Opt) (leases.Lease, error) {
	var l leases.Lease
	for _, opt := range opts {
		if err := opt(&l); err != nil {
			return l, err
		}
	}
	_, err := s.client.Create(ctx, &leasesapi.CreateRequest{ID: l.ID, Labels: l.Labels})
	return l, errdefs.FromGRPC(err)
}

// AddResource protects a resource by a lease.
func (s Leases) AddResource(ctx context.Context, l leases.Lease, r leases.Resource) error {
	_, err := s.client.AddResource(ctx, &leasesapi.AddResourceRequest{ID: l.ID, Resource: &leasesapi.Resource{ID: r.ID, Type: r.Type}})
	return errdefs.FromGRPC(err)
}

// Delete removes a lease.
func (s Leases) Delete(ctx context.Context, l leases.Lease, opts ...leases.DeleteOpt) error {
	var how leases.DeleteOptions
	for _, opt := range opts {
		if err := opt(ctx, &how); err != nil {
			return err
		}
	}
	_, err := s.client.Delete(ctx, &leasesapi.DeleteRequest{ID: l.ID, Sync: how.Synchronous})
	return errdefs.FromGRPC(err)
}

// List returns the ids and labels of leases.
func (s Leases) List(ctx context.Context, filters ...string) ([]leases.Lease, error) {
	found, err := s.client.List(ctx, &leasesapi.ListRequest{Filters: filters})
	if err != nil {
		return nil, errdefs.FromGRPC(err)
	}
	var list []leases.Lease
	for _, l := range found.Leases {
		list = append(list, leases.Lease{ID: l.ID, Labels: l.Labels})
	}
	return list, nil
}

// Content returns the digests of the blobs that a lease protects by their names.
func (s Leases) Content(ctx context.Context, id string) (digests []string, err error) {
	found, err := s.client.ListResources(ctx, &leasesapi.ListResourcesRequest{ID: id})
	for _, r := range found.GetResources() {
		if r.Type == "content" {
			digests = append(digests, r.ID)
		}
	}
	return digests, errdefs.FromGRPC(err)
}

// LabelContent sets a label of a blob.
func (c *Client) LabelContent(ctx context.Context, digest, label, value string) error {
	_, err := contentapi.NewContentClient(c.Conn).Update(ctx, &contentapi.UpdateRequest{
		Info:       &contentapi.Info{Digest: digest, Labels: map[string]string{label: value}},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"labels." + label}},
	})
	return errdefs.FromGRPC(err)
}

// SnapshotService returns the calls of a snapshotter that a run needs, as the interface through
// which containerd's package oci looks up users in a container's root file system. That calls
// Mounts. The calls that this package does not have panic.
func (c *Client) SnapshotService(name string) snapshots.Snapshotter {
	return snapshotter{client: snapshotsapi.NewSnapshotsClient(c.Conn), name: name}
}

type snapshotter struct {
	snapshots.Snapshotter // nil
	client                snapshotsapi.SnapshotsClient
	name                  string
}

func (s snapshotter) Stat(ctx context.Context, key string) (snapshots.Info, error) {
	found, err := s.client.Stat(ctx, &snapshotsapi.StatSnapshotRequest{Snapshotter: s.name, Key: key})
	return info(found.GetInfo()), errdefs.FromGRPC(err)
}

func (s snapshotter) Usage(ctx context.Context, key string) (snapshots.Usage, error) {
	found, err := s.client.Usage(ctx, &snapshotsapi.UsageRequest{Snapshotter: s.name, Key: key})
	return snapshots.Usage{Size: found.GetSize(), Inodes: found.GetInodes()}, errdefs.FromGRPC(err)
}

func (s snapshotter) Mounts(ctx context.Context, key string) ([]mount.Mount, error) {
	found, err := s.client.Mounts(ctx, &snapshotsapi.MountsRequest{Snapshotter: s.name, Key: key})
	return mounts(found.GetMounts()), errdefs.FromGRPC(err)
}

func (s snapshotter) Prepare(ctx context.Context, key, parent string, opts ...snapshots.Opt) ([]mount.Mount, error) {
	var i snapshots.Info
	for _, opt := range opts {
		if err := opt(&i); err != nil {
			return nil, err
		}
	}
	made, err := s.client.Prepare(ctx, &snapshotsapi.PrepareSnapshotRequest{Snapshotter: s.name, Key: key, Parent: parent, Labels: i.Labels})
	return mounts(made.GetMounts()), errdefs.FromGRPC(err)
}

func (s snapshotter) Commit(ctx context.Context, name, key string, _ ...snapshots.Opt) error {
	_, err := s.client.Commit(ctx, &snapshotsapi.CommitSnapshotRequest{Snapshotter: s.name, Name: name, Key: key})
	return errdefs.FromGRPC(err)
}

func (s snapshotter) Remove(ctx context.Context, key string) error {
	_, err := s.client.Remove(ctx, &snapshotsapi.RemoveSnapshotRequest{Snapshotter: s.name, Key: key})
	return errdefs.FromGRPC(err)
}

func (s snapshotter) Walk(ctx context.Context, each snapshots.WalkFunc, filters ...string) error {
	list, err := s.client.List(ctx, &snapshotsapi.ListSnapshotsRequest{Snapshotter: s.name, Filters: filters})
	for err == nil {
		var part *snapshotsapi.ListSnapshotsResponse
		if part, err = list.Recv(); err != nil {
			break
		}
		for _, i := range part.Info {
			if err := each(ctx, info(i)); err != nil {
				return err
			}
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return errdefs.FromGRPC(err)
}

// info has what this package's callers ask for: neither kind nor times.
func info(i *snapshotsapi.Info) snapshots.Info {
	kinds := map[snapshotsapi.Kind]snapshots.Kind{snapshotsapi.Kind_COMMITTED: snapshots.KindCommitted, snapshotsapi.Kind_ACTIVE: snapshots.KindActive, snapshotsapi.Kind_VIEW: snapshots.KindView}
	return snapshots.Info{Kind: kinds[i.GetKind()], Name: i.GetName(), Parent: i.GetParent(), Labels: i.GetLabels()}
}

func mounts(list []*types.Mount) []mount.Mount {
	var all []mount.Mount
	for _, m := range list {
		all = append(all, mount.Mount{Type: m.Type, Source: m.Source, Target: m.Target, Options: m.Options})
	}
	return all
}
