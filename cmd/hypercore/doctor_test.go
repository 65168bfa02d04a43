package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/go-hypercore/hypercore/internal/transcript"
)

var updateDocs = flag.Bool("update-docs", false, "write the transcripts of docs/networks.md")

// networksDoc is the document with the transcripts of doctor.
var networksDoc = filepath.Join("..", "..", "docs", "networks.md")

// The transcripts of docs/networks.md: nodes on loopback, some of which are
// taken away or misconfigured.
func TestDoctor(t *testing.T) {
	t.Parallel()
	doc, err := filepath.Abs(networksDoc)
	if err != nil {
		t.Fatal(err)
	}
	var s strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&s, format+"\n", args...) }
	const on = " --listen /ip4/127.0.0.1/tcp/0"
	const net = " --network lab --bootstrap $BOOT" + on
	// doctor runs it and compares; shown is the command as the document has it.
	doctor := func(name, shown, args string, code int) {
		line("exitcode %d hypercore %s", code, args)
		line("transcript stdout '%s' 'hypercore %s'", name, shown)
	}
	const reader = "doctor $KEY" + net + " --home reader"
	const shown = "doctor 9718a1ff... --network lab --bootstrap $ADDR"

	line("env HYPERCORE_HOME=$WORK/boot\nexec hypercore bootstrap --network lab%s &boot&\nrunning BOOT 0\nenv HYPERCORE_HOME=$WORK/home", on)
	line("exec hypercore create notes\nsetenv KEY stdout 0\nlines thirty 30\nexec hypercore append notes thirty --lines -q")
	doctor("not served", "doctor notes --network lab --bootstrap $ADDR", "doctor notes"+net, 1)
	line("exec hypercore seed notes%s &seed&\nwaitfor home/nodes/0/control.sock", net)
	line("waitdoctor 'healthy: it is announced' notes")
	doctor("seeding", "doctor notes", "doctor notes", 0)
	doctor("healthy", shown, reader, 0)
	doctor("wrong network name", "doctor 9718a1ff... --network laab --bootstrap $ADDR", strings.ReplaceAll(reader, "--network lab ", "--network laab "), 1)
	doctor("node", "doctor", "doctor --home boot", 0)

	line("exec hypercore clone $KEY ./part --range 0-16 --range 18-29 --home part" + net + " --timeout 60s")
	line("kill -INT seed\nwait seed")
	line("exec hypercore seed ./part --home part%s &part&\nwaitfor part/nodes/0/control.sock", net)
	line("waitdoctor 'of network lab, valid' ./part --home part")
	doctor("nobody has block 17", shown, reader, 1)

	line("kill -INT part\nwait part")
	doctor("provider offline", shown, reader, 1)
	line("kill -INT boot\nwait boot")
	doctor("no bootstrap", shown, reader, 1)
	line("exitcode 1 hypercore doctor $KEY --json --home reader" + net)
	line(`stdout '^{"verdict":{"state":"bad","text":"network lab is not reached: bootstrap node 127.0.0.1:[0-9]+ \(tcp\): connection refused","do":"is hypercore bootstrap --network lab running'`)
	line(`stdout '"facts":{"at":".*","node":{"id":".*"feed":{"key":"'$KEY`)
	// What clone says is the same.
	line("exitcode 4 hypercore clone $KEY ./x --home reader --timeout 15s" + net)
	line("stderr '^network lab is not reached: bootstrap node 127.0.0.1:[0-9]+ \\(tcp\\): connection refused$'")
	line("stderr '→ is hypercore bootstrap --network lab running there, on this port\\?'")

	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "doctor.txtar"), []byte(s.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	p := params(dir)
	p.Cmds["transcript"] = func(ts *testscript.TestScript, _ bool, args []string) {
		if err := transcript.Check(doc, args[1], args[2], ts.ReadFile(args[0]), *updateDocs); err != nil {
			ts.Logf("%v", err)
			if !*updateDocs {
				ts.Fatalf("go test ./cmd/hypercore -run TestDoctor -update-docs writes it")
			}
			ts.Check(err)
		}
	}
	// waitdoctor TEXT ARGS...: until doctor says so.
	p.Cmds["waitdoctor"] = func(ts *testscript.TestScript, _ bool, args []string) {
		eventually(ts, args[0], func() bool {
			_ = ts.Exec("hypercore", append([]string{"doctor"}, args[1:]...)...)
			return strings.Contains(ts.ReadFile("stdout"), args[0])
		})
	}
	testscript.Run(t, p)
}
