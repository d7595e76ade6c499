package images

import (
	"context"
	"fmt"
	"slices"
	"time"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/errdefs"

	"pipex/lib/internal/containerd"
	"pipex/lib/run"
	"pipex/lib/workspace"
)

// Remove removes the name of the image that ref means, and with its last name the image, and
// waits until containerd has freed the space. If it is not there, that is no error. The error wraps
// [workspace.ErrInUse] if an open run uses it, in this workdir or another; not with force: then the run
// still has its image, by its lease, but the next one has not.
func Remove(ctx context.Context, place run.Place, ref string, force bool) error {
	uses, unknown := Uses(ctx, place.Workdir, place.Containerd, Current)
	c, err := containerd.Connect(ctx, place.Containerd)
	if err != nil {
		return err
	}
	defer c.Close()
	all, err := list(ctx, c, uses)
	if err != nil {
		return err
	}
	img, err := all.find(ref)
	if img == nil || err != nil {
		return err
	}
	if i := slices.IndexFunc(img.Uses, func(u Use) bool { return u.Open }); i >= 0 && !force {
		return fmt.Errorf("cannot remove image %q: %w open %s; discard that first, or use --force", img.Name, workspace.ErrInUse, img.Uses[i])
	}
	if unknown != nil && !force {
		return fmt.Errorf("cannot remove image %q: %w; or use --force", img.Name, unknown)
	}
	return remove(ctx, c, img.Name, true)
}

// remove removes a name. With wait it waits until containerd has collected what is no longer
// referred to.
func remove(ctx context.Context, c *containerd.Client, name string, wait bool) error {
	_, err := imagesapi.NewImagesClient(c.Conn).Delete(c.Context(ctx), &imagesapi.DeleteImageRequest{Name: name, Sync: wait})
	if err = errdefs.FromGRPC(err); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("cannot remove image %q: %w", name, err)
	}
	return nil
}

// PruneOptions say what Prune removes.
type PruneOptions struct {
	// OlderThan keeps images whose name was given less than that ago.
	OlderThan time.Duration
	// DryRun removes nothing and reports what would be removed.
	DryRun bool
}

// Prune removes the images of the namespace that no run of the workdir's workspaces uses, nor an
// open run of another workdir, and that are old enough. It calls report with each, and returns how
// many are too young. It refuses to remove any if the workdir has no workspace, or if a record cannot
// be read: then it is not known what is in use.
func Prune(ctx context.Context, place run.Place, opt PruneOptions, report func(Image)) (young int, err error) {
	if ids, err := workspace.List(place.Workdir); err != nil {
		return 0, err
	} else if len(ids) == 0 {
		return 0, fmt.Errorf("%w in workdir %q, so it is not known which images are in use; --workdir names another, pipex-image rm removes an image by its name", workspace.ErrNoWorkspace, place.Workdir)
	}
	uses, err := Uses(ctx, place.Workdir, place.Containerd, All)
	if err != nil {
		return 0, fmt.Errorf("cannot prune images: %w", err)
	}
	all, err := List(ctx, place, uses)
	if err != nil {
		return 0, err
	}
	c, err := containerd.Connect(ctx, place.Containerd)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	old, young := prunable(all, opt.OlderThan)
	for i, img := range old {
		if !opt.DryRun {
			if err := remove(ctx, c, img.Name, i == len(old)-1); err != nil {
				return young, err
			}
		}
		report(img)
	}
	return young, nil
}

// prunable returns the images without uses that are old enough, and the number of those that are not.
func prunable(all []Image, olderThan time.Duration) (old []Image, young int) {
	for _, img := range all {
		if len(img.Uses) > 0 {
			continue
		}
		if img.Age() < olderThan {
			young++
		} else {
			old = append(old, img)
		}
	}
	return old, young
}

// String says which run it is.
func (u Use) String() string {
	text := fmt.Sprintf("run %s of workspace %q", u.Run, u.Workspace)
	if u.Step != "" {
		text = fmt.Sprintf("run %s of step %q of workspace %q", u.Run, u.Step, u.Workspace)
	}
	if u.Workdir != "" {
		text += fmt.Sprintf(" in %q", u.Workdir)
	}
	return text
}
