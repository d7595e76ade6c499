package process

import (
	"bufio"
	"os/exec"
	"testing"
)

func TestProcesses(t *testing.T) {
	cmd := exec.Command("sh", "-c", "echo $$; read line")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	child, self, parent := of(cmd.Process.Pid), Self(), Parent()
	for _, c := range []struct {
		what            string
		id              ID
		alive, ancestor bool
	}{
		{"a child", child, true, false},
		{"self", self, true, true},
		{"the parent", parent, true, true},
		{"another with the child's number", ID{child.Host, child.Space, child.PID, child.Started + "1"}, false, false},
		{"another with our number", ID{self.Host, self.Space, self.PID, "1"}, false, false},
	} {
		if !c.id.Here() || c.id.Alive() != c.alive || c.id.Ancestor() != c.ancestor {
			t.Errorf("%s: here %t, alive %t, ancestor %t", c.what, c.id.Here(), c.id.Alive(), c.id.Ancestor())
		}
		if again := Parse(c.id.String()); again != c.id {
			t.Errorf("%s: %v became %v", c.what, c.id, again)
		}
	}
	in.Close()
	cmd.Process.Wait()
	if child.Alive() {
		t.Error("a child that has ended is alive")
	}
	for _, text := range []string{"", "a b c", "a b c d", "a b 1 2 3"} {
		if id := Parse(text); id != (ID{}) || id.Here() {
			t.Errorf("%q is %v", text, id)
		}
	}
}
