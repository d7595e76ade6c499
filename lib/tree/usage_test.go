package tree

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// What comes, goes and changes its kind while it is counted is no error.
func TestUsageOfWhatChanges(t *testing.T) {
	dir := t.TempDir()
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		x, d := filepath.Join(dir, "x"), filepath.Join(dir, "d", "e")
		for {
			os.MkdirAll(d, 0o755)
			os.WriteFile(x, []byte("x"), 0o644)
			os.WriteFile(filepath.Join(d, "f"), nil, 0o644)
			os.RemoveAll(filepath.Join(dir, "d"))
			os.Remove(x)
			os.Symlink(dir, x)
			os.Remove(x)
			os.Mkdir(x, 0o755)
			os.Remove(x)
			select {
			case <-done:
				return
			default:
			}
		}
	}()
	for range 2000 {
		if _, err := new(Usage).Add(context.Background(), dir); err != nil {
			t.Error(err)
			break
		}
	}
	close(done)
	<-stopped
	ok(t, os.RemoveAll(dir))
	bytes, err := new(Usage).Add(context.Background(), dir)
	if err != nil || bytes != 0 {
		t.Errorf("%d bytes, %v", bytes, err)
	}
}
