// Package userns is about user namespaces (user_namespaces(7)): that of a container,
// whose users are others outside of it, and that of a rootless containerd, which
// its client has to join.
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

// free is where root's subordinate ids begin if /etc/subuid gives root none: above
// the ids that useradd(8) gives out.
const free = 1 << 30

// Map maps root of a container to the user uid and the group gid, and the other
// users to the user's subordinate ids, as subuid(5) and subgid(5) have them. Only root
// can give a container's files to these users: it is an error for anybody else.
func Map(uid, gid uint32) (*step.IDMap, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("cannot map users for a containerd that runs as root: only root can give files to other users; use sudo, which maps to its caller, or a rootless containerd")
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

// maxFirst is where a range begins at the latest; (uid_t)-1 is no id.
const maxFirst = 1<<32 - 1 - step.IDCount

// first is where a user's first sufficient range of subordinate ids begins. One that
// begins at root is none: it is how a number that cannot be read comes out, too.
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
