package main

import (
	"runtime"
	"strings"
	"unicode"
)

// command is a command line to copy, for the home that this command was called with: a
// hint that leads to another home leads astray.
func (a *app) command(name string, args ...string) string {
	return "hypercore " + name + " " + a.arguments(args...)
}

// arguments are those of a command as they must be typed, behind --home if it was given.
func (a *app) arguments(args ...string) string {
	if a.homeDir != "" {
		args = append([]string{"--home", a.homeDir}, args...)
	}
	return shellWords(args)
}

// elsewhere is a command line to copy to another machine, or one that needs no home.
func elsewhere(name string, args ...string) string {
	return "hypercore " + name + " " + shellWords(args)
}

// shellWords joins words so that a shell takes them apart the same way.
func shellWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = shellWord(w)
	}
	return strings.Join(quoted, " ")
}

// shellWord quotes a word that a shell would not leave as it is.
func shellWord(w string) string {
	plain := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("@%+=:,./_-", r) || r == '\\' && runtime.GOOS == "windows"
	}
	switch {
	case w != "" && strings.IndexFunc(w, func(r rune) bool { return !plain(r) }) < 0:
		return w
	case runtime.GOOS == "windows": // where no file name has a double quote
		return `"` + w + `"`
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}
