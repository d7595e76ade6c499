// Package userns handles user namespaces (user_namespaces(7)): it makes the id mapping for a
// container, and joins the user namespace of a rootless containerd.
package userns

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"

	subid "github.com/moby/sys/user"

	"pipex/lib/step"
)

// free is the first of root's subordinate ids if /etc/subuid has none for root. It is above
// the ids that useradd(8) assigns.
const free = 1 << 30

// Map maps root of a container to the user uid and the group gid, and the other users to the
// subordinate ids of that user in subuid(5) and subgid(5). It is an error unless the caller is
// root: only root can change the owner of a container's files.
func Map(uid, gid uint32) (*step.IDMap, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("cannot map users for a containerd that runs as root: only root can change the owner of files; use sudo, which maps to its caller, or a rootless containerd")
	}
	m := &step.IDMap{UID: uid, GID: gid}
	name := strconv.Itoa(int(uid))
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	var err error
	if m.SubUID, err = first("/etc/subuid", name, uid); err != nil {
		return nil, err
	}
	m.SubGID, err = first("/etc/subgid", name, uid)
	return m, err
}

// maxFirst is the last id at which a range can begin; (uid_t)-1 is not an id.
const maxFirst = 1<<32 - 1 - step.IDCount

// first returns the beginning of a user's first range of subordinate ids that is large
// enough. A range that begins at 0 does not count: a number that cannot be read is 0, too.
func first(path, name string, uid uint32) (uint32, error) {
	ranges, err := subid.ParseSubIDFileFilter(path, func(s subid.SubID) bool {
		return (s.Name == name || s.Name == strconv.Itoa(int(uid))) && s.Count >= step.IDCount && s.SubID > 0 && s.SubID <= maxFirst
	})
	if len(ranges) > 0 {
		return uint32(ranges[0].SubID), nil
	}
	if uid == 0 {
		return free, nil
	}
	return 0, errors.Join(fmt.Errorf("cannot map users: %s has no %d subordinate ids for %q; usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s", path, step.IDCount, name, name), err)
}
