package pull

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/containerd/images"
	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"pipex/lib/name"
)

// ErrNoName says that an archive has no name for an image.
var ErrNoName = errors.New("it has no name for its image")

// CheckName returns an error for what cannot name an image, and else the name with a tag.
func CheckName(ref string) (string, error) {
	named, err := reference.ParseDockerRef(ref)
	if err != nil {
		return "", name.Usage("%q is not an image name: %v; such as app, app:1 or example.org/team/app:1", ref, err)
	}
	if _, ok := named.(reference.Digested); ok {
		return "", name.Usage("%q is not an image name: without a digest, the image has its own", ref)
	}
	if !strings.Contains(ref[strings.LastIndexByte(ref, '/')+1:], ":") {
		ref += ":latest"
	}
	return ref, nil
}

// nameImages says which images an archive's index lists, and under which names. want, unless it is
// empty, is the name for the archive's only image; or, without a tag, for images of which the archive
// has the tags; or for one image whose manifests for several platforms the index itself lists.
func nameImages(index ocispec.Descriptor, list []ocispec.Descriptor, want string) ([]images.Image, error) {
	tagged := strings.Contains(want[strings.LastIndexByte(want, '/')+1:], ":")
	full := want
	if want != "" {
		var err error
		if full, err = CheckName(want); err != nil {
			return nil, err
		}
	}
	only := !slices.ContainsFunc(list, func(d ocispec.Descriptor) bool { return d.Digest != list[0].Digest })
	if want != "" && only {
		return []images.Image{{Name: full, Target: list[0]}}, nil
	}
	var found []images.Image
	var names, tags []string
	known, unnamed := 0, 0
	for _, d := range list {
		name, tag := named(d)
		switch {
		case name != "":
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
			known++
		case tag != "":
			tags = append(tags, tag)
			if name = want + ":" + tag; want != "" {
				if _, err := CheckName(name); err != nil {
					return nil, err
				}
			}
		default:
			unnamed++
		}
		found = append(found, images.Image{Name: name, Target: d})
	}
	switch {
	case want == "" && known == len(list):
		return distinct(found)
	case want != "" && !tagged && len(tags) == len(list):
		return distinct(found)
	case want != "" && unnamed == len(list) && platformsDiffer(list):
		return []images.Image{{Name: full, Target: index}}, nil
	case want != "" && len(names) > 0:
		return nil, fmt.Errorf("it has several images, %s; without NAME each keeps its own name", quoted(names))
	case want != "":
		return nil, errors.New("it has several images, and not one name for each; write each to an archive of its own")
	case len(tags) > 0:
		return nil, fmt.Errorf("%w, only the tag %s", ErrNoName, quoted(tags))
	}
	return nil, ErrNoName
}

// named returns the name that an archive has for an image, with its tag, or else a word that can be
// no more than a tag.
func named(d ocispec.Descriptor) (name, tag string) {
	name = d.Annotations[images.AnnotationImageName]
	if name == "" {
		name = d.Annotations[ocispec.AnnotationRefName]
		if !strings.ContainsAny(name, "/:") {
			return "", name
		}
	}
	name, err := CheckName(name)
	if err != nil {
		return "", ""
	}
	return name, ""
}

// distinct returns the images without those that are listed twice. One name for two images is an
// error.
func distinct(all []images.Image) (some []images.Image, err error) {
	known := map[string]ocispec.Descriptor{}
	for _, i := range all {
		before, twice := known[i.Name]
		if !twice {
			some = append(some, i)
		} else if before.Digest != i.Target.Digest {
			return nil, fmt.Errorf("it has two images %q", i.Name)
		}
		known[i.Name] = i.Target
	}
	return some, nil
}

// platformsDiffer tells whether each of the manifests is for a platform of its own.
func platformsDiffer(list []ocispec.Descriptor) bool {
	known := map[string]bool{}
	for _, d := range list {
		if d.Platform == nil || known[fmt.Sprint(*d.Platform)] {
			return false
		}
		known[fmt.Sprint(*d.Platform)] = true
	}
	return true
}

// quoted lists words for a message: no more than four.
func quoted(words []string) string {
	var b strings.Builder
	for i, w := range words {
		if i == 4 {
			fmt.Fprintf(&b, " and %d more", len(words)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%.100q", w)
	}
	return b.String()
}
