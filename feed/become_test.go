package feed

import (
	"reflect"
	"testing"
)

// What become takes over, and what belongs to the open feed whatever is on the
// disk. A new field of Feed has to be put into one of the two.
func TestBecomeKnowsEveryField(t *testing.T) {
	taken := []string{
		"journal", "doubtful", "bitsOpen", "bitsLen", "settled", "flight", "cargo", "redo", "hidden",
		"secret", "keeps", "acc", "hash", "static", "draft", "unsigned", "image", "tree", "sigs", "links", "memo", "groups",
		"changes", "committed", "pend", "durable", "identity", "announced", "eager", "lazy", "newBits", "newBlocks", "touched",
		"damage", "behind", "other", "repair", "stale", "frozen",
	}
	kept := []string{
		"st", "opts", "files", "done", "lot", "holds", "usedAt", "parking", "berth", "retired", "spot",
		"wmu", "apply", "settling", "flushMu", "commitMu", "mu", "key",
		"syncs", "unloading", "waited", "landedAt", "audience", "took", "hurry", "looping", "resting", "owes", "wake", "nap", "joints", "joined", "stalled", "spare", "expected", "enough", "scratch",
		"closing", "closed", "closeErr", "loops", "failed", "retry", "failedAt", "astray",
		"wants", "lengths", "seeks", "windows", "downloads", "arrived", "hint", "watchers",
		"repl", "outbox", "draining", "drained", "demand", "cleared", "stats",
	}
	known := map[string]bool{}
	for _, n := range append(taken, kept...) {
		known[n] = true
	}
	typ := reflect.TypeFor[Feed]()
	for i := range typ.NumField() {
		if n := typ.Field(i).Name; !known[n] {
			t.Errorf("Feed.%s: does renew take it over from the disk?", n)
		}
	}
	if typ.NumField() != len(known) {
		t.Errorf("%d fields, %d known", typ.NumField(), len(known))
	}
}
