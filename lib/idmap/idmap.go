// Package idmap says who the users of a container in a user namespace
// (user_namespaces(7)) are outside of it.
package idmap

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"

	subid "github.com/moby/sys/user"
)

// Map maps root of a container to UID and GID, and the Count users and groups
// after it to those from SubUID and SubGID on.
type Map struct {
	UID    uint32 `json:"uid"`
	GID    uint32 `json:"gid"`
	SubUID uint32 `json:"subUid"`
	SubGID uint32 `json:"subGid"`
}

// Count is how many ids besides root's are mapped: what a container has without a
// user namespace, as far as anybody uses them.
const Count = 65535

// free is where root's subordinate ids begin if /etc/subuid gives it none: above
// those that useradd(8) gives out.
const free = 1 << 30

// Caller maps root to whoever calls: the user behind sudo(8), if there is one. The
// others are mapped to the user's subordinate ids, as subuid(5) and subgid(5) have
// them.
func Caller() (*Map, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("cannot map users for a containerd that runs as root: only root can give it their files; use sudo, which maps to who calls it, or a rootless containerd")
	}
	m := &Map{UID: number("SUDO_UID"), GID: number("SUDO_GID")}
	name := strconv.Itoa(int(m.UID))
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	var err error
	if m.SubUID, err = first("/etc/subuid", name, m.UID); err != nil {
		return nil, err
	}
	m.SubGID, err = first("/etc/subgid", name, m.UID)
	return m, err
}

func number(variable string) uint32 {
	n, err := strconv.ParseUint(os.Getenv(variable), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// first is where a user's first sufficient range of subordinate ids begins.
func first(path, name string, uid uint32) (uint32, error) {
	ranges, err := subid.ParseSubIDFileFilter(path, func(s subid.SubID) bool {
		return (s.Name == name || s.Name == strconv.Itoa(int(uid))) && s.Count >= Count
	})
	if len(ranges) > 0 && ranges[0].SubID+Count < 1<<32 {
		return uint32(ranges[0].SubID), nil
	}
	if uid == 0 {
		return free, nil
	}
	return 0, errors.Join(fmt.Errorf("cannot map users: %s has no %d subordinate ids for %q; usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s", path, Count, name, name), err)
}

// OwnerUID is who a container's user is outside of it.
func (m *Map) OwnerUID(id uint32) uint32 { return owner(id, m.UID, m.SubUID) }

// OwnerGID is what a container's group is outside of it.
func (m *Map) OwnerGID(id uint32) uint32 { return owner(id, m.GID, m.SubGID) }

// owner leaves an id that is not mapped as it is: the container sees it as
// nobody's.
func owner(id, root, sub uint32) uint32 {
	switch {
	case id == 0:
		return root
	case id <= Count:
		return sub + id - 1
	}
	return id
}
