package control

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-hypercore/hypercore/feed"
)

// ErrBadName says that a name or key cannot be one, whatever exists.
var ErrBadName = errors.New("control: not a name of a feed")

// badName is ErrBadName in words that stand alone.
type badName string

func (e badName) Error() string        { return string(e) }
func (e badName) Is(target error) bool { return target == ErrBadName }

func badNamef(format string, args ...any) error { return badName(fmt.Sprintf(format, args...)) }

// keyDigits is the length of a public key in hex.
const keyDigits = 64

// LooksLikeKey tells whether arg is meant as a key, be it right or mistyped:
// it has a scheme, or it is 64 characters long, or it is hex and longer than a
// person would choose for a name.
func LooksLikeKey(arg string) bool {
	s, scheme := cutScheme(arg)
	if scheme || len(s) == keyDigits && !strings.ContainsAny(s, `/\`) {
		return true
	}
	return len(s) >= keyDigits/2 && strings.IndexFunc(s, notHex) < 0
}

// ParseKey parses a public key: 64 hex digits, with or without dat:// or
// hyper:// before it. Its errors say what is wrong, digit by digit.
func ParseKey(arg string) (feed.Key, error) {
	s, _ := cutScheme(arg)
	if i := strings.IndexFunc(s, notHex); i >= 0 {
		return feed.Key{}, badNamef("key %q: character %d is %q, not a hex digit", arg, i+1, []rune(s[i:])[0])
	}
	if len(s) != keyDigits {
		return feed.Key{}, badNamef("key %q has %d hex digits; a public key has %d", arg, len(s), keyDigits)
	}
	return feed.ParseKey(s)
}

// cutScheme cuts dat:// or hyper:// and what may follow the key in such a URL, and the
// space around it that comes with pasting.
func cutScheme(arg string) (rest string, scheme bool) {
	arg = strings.TrimSpace(arg)
	for _, p := range []string{"dat://", "hyper://"} {
		if len(arg) >= len(p) && strings.EqualFold(arg[:len(p)], p) {
			rest, _, _ := strings.Cut(arg[len(p):], "/")
			return rest, true
		}
	}
	return arg, false
}

func notHex(r rune) bool {
	return !('0' <= r && r <= '9' || 'a' <= r && r <= 'f' || 'A' <= r && r <= 'F')
}
