// Package transcript keeps what commands print in documents: tests run the
// commands, replace what differs from run to run, and compare with, or write,
// the block of the document between
//
//	<!-- transcript: NAME -->
//	```text
//	...
//	```
package transcript

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// volatile is what differs from run to run, and what stands in its place.
var volatile = []struct {
	re *regexp.Regexp
	in string
}{
	{regexp.MustCompile(`12D3…[A-Za-z0-9]{8}`), "12D3…bqQ3xVfP"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "9718a1ff..."},
	{regexp.MustCompile(`(\d+\.\d+\.\d+\.\d+):\d+`), "$1:4001"},
	{regexp.MustCompile(`\b(tcp|ws|quic|webtransport|webrtc-direct) \d+\b`), "$1 4001"},
	{regexp.MustCompile(`\bprocess \d+`), "process 4711"},
	{regexp.MustCompile(`\((\d+) looks?\)`), "(9 looks)"},
	{regexp.MustCompile(` \(\d+ attempts\)`), ""},
	{regexp.MustCompile(`on \d+ nodes? of network (\S+), valid`), "on 1 node of network $1, valid"},
	{regexp.MustCompile(`of \d+ asked now, [1-9]\d* have it`), "of 1 asked now, 1 have it"},
	{regexp.MustCompile(`\d+ nodes? of network (\S+) to ask`), "2 nodes of network $1 to ask"},
}

// Stable is text without what differs from run to run.
func Stable(text string) string {
	for _, v := range volatile {
		text = v.re.ReplaceAllString(text, v.in)
	}
	return strings.TrimRight(text, "\n") + "\n"
}

// Check compares a command and what it printed with the block of a document,
// or writes the block.
func Check(document, name, command, printed string, update bool) error {
	b, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	want := "$ " + command + "\n" + Stable(printed)
	begin := "<!-- transcript: " + name + " -->\n```text\n"
	head, rest, ok := strings.Cut(string(b), begin)
	block, tail, ok2 := strings.Cut(rest, "```\n")
	switch {
	case !ok || !ok2:
		return fmt.Errorf("%s has no transcript %q", document, name)
	case block == want:
		return nil
	case !update:
		return fmt.Errorf("%s: transcript %q is\n%s\nnow it is\n%s", document, name, block, want)
	}
	return os.WriteFile(document, []byte(head+begin+want+"```\n"+tail), 0o644)
}
